-- ARGV: from 2 on for each call that was gathered the number of its jobs, and for each of them its id, its options, its
-- payload. The answer has for each call a list, or the limit if it did not fit in.
local OPTIONS = '>i4I4I8I8c8'
local limit = meta[6] and tonumber(meta[6])

-- Whether all that are new of a call fit in.
local function has_room(first, last)
    local new, seen = 0, {}
    for place = first, last, 3 do
        local id = ARGV[place]
        if not seen[id] and not load_living(id) then
            seen[id] = true
            new = new + 1
        end
    end
    flush()
    local unfinished = call('ZCARD', base .. 'waiting') + call('ZCARD', base .. 'delayed') + call('ZCARD', base .. 'leases')
    return new == 0 or unfinished + new <= limit
end

-- The generation of the new job; the negative state of one that has the id.
local function enqueue(id, options, payload)
    local priority, most, delay, retention, nonce = unpack_from(OPTIONS, options)
    local holder = load(id)
    if holder and is_expired(holder) then
        forget(holder)
    elseif holder then
        -- The same nonce: this very job was enqueued before, and the answer was lost.
        return holder.enqueue == nonce and holder.generation
            or holder.state == DELAYED and holder.ready <= now and -WAITING
            or -holder.state
    end
    sequence = sequence + 1
    local job = {
        id = id, state = WAITING, cancel = 0, priority = priority, deliveries = 0, most = most, generation = sequence,
        created = now, ready = now, delay = delay, retention = retention, token = 0, at = 0, expires = 0,
        enqueue = nonce, finish = NO_NONCE, worker = '',
    }
    line_up(job, delay)
    save(job, 'payload', payload)
    enter(job)
    tell(ENQUEUED, id)
    return sequence
end

local answers, first = {}, 2
while first <= #ARGV do
    local last = first + ARGV[first] * 3
    if limit and not has_room(first + 1, last) then
        answers[#answers + 1] = limit
    else
        local answer = {}
        for place = first + 1, last, 3 do
            answer[#answer + 1] = enqueue(ARGV[place], ARGV[place + 1], ARGV[place + 2])
        end
        answers[#answers + 1] = answer
    end
    first = last + 1
end
settle()
return answers
