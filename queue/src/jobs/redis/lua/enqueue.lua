-- ARGV: from 2 on for each job its id, its options, its payload.
local OPTIONS = '>i4I4I8I8c8'

-- Whether all that are new fit in.
local function has_room(limit)
    local new, seen = 0, {}
    for first = 2, #ARGV, 3 do
        local id = ARGV[first]
        if not seen[id] and not load_living(id) then
            seen[id] = true
            new = new + 1
        end
    end
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
        id = id, cancel = 0, priority = priority, deliveries = 0, most = most, generation = sequence, created = now,
        delay = delay, retention = retention, token = 0, at = 0, expires = 0, enqueue = nonce, finish = NO_NONCE, worker = '',
    }
    line_up(job, delay)
    save(job, 'payload', payload)
    enter(job)
    tell(ENQUEUED, id)
    return sequence
end

local limit = meta[6] and tonumber(meta[6])
if limit and not has_room(limit) then
    settle()
    return limit
end
local answers = {}
for first = 2, #ARGV, 3 do
    answers[#answers + 1] = enqueue(ARGV[first], ARGV[first + 1], ARGV[first + 2])
end
settle()
return answers
