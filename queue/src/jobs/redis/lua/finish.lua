-- ARGV: 2 the nonce of this call; 3 the worker that claims, 4 how many jobs at most (0: none), 5 for how long; from 6
-- on for each end the job's id, what is to become of it, its output or error.
local END = '>BI8I8'
local COMPLETE, RETRY, DIE, RELEASE, GIVE_UP = 1, 2, 3, 4, 5
local nonce = ARGV[2]

-- What became of it: 0 the lease was lost, 1 it took effect, 2 the job's end was wanted, and it is gone instead.
local function finish(id, fixed, bytes)
    local kind, token, duration = unpack_from(END, fixed)
    local gone = kind == GIVE_UP and '1' or '2'
    local job = load(id)
    if not job then
        return again and kind ~= COMPLETE and gone or '0'
    elseif job.state ~= ACTIVE or job.token ~= token then
        return again and job.finish == nonce and '1' or '0'
    end
    is_work = is_work or concurrency ~= nil
    if kind == GIVE_UP or kind ~= COMPLETE and job.cancel == 1 then
        forget(job)
        tell(CANCELLED, id)
        return gone
    end
    leave(job)
    job.finish = nonce
    if kind == COMPLETE then
        job.state, job.at, job.retention, job.expires = COMPLETED, now, duration, now + duration
        save(job, 'output', bytes)
        tell(ENDED_WELL, id)
    elseif kind == RETRY then
        line_up(job, duration)
        save(job, 'error', bytes)
        tell(RETRYING, id)
    elseif kind == DIE then
        job.state, job.at = DEAD, now
        save(job, 'error', bytes)
        tell(DIED, id)
    else
        -- It keeps its place in line, which was the front when it was claimed.
        job.state, job.deliveries, is_work = WAITING, math.max(job.deliveries - 1, 0), true
        save(job)
    end
    enter(job)
    return '1'
end

-- Appends id, header and payload of each claimed job.
local function claim(claimed, worker, most, lease)
    if concurrency then
        most = math.min(most, concurrency - call('ZCARD', base .. 'leases'))
    end
    if paused or most <= 0 then
        return
    end
    local front = call('ZPOPMIN', base .. 'ready', most)
    for place = 1, #front, 2 do
        local id = front[place]:sub(17)
        local stored = call('HMGET', base .. 'job:' .. id, 'header', 'payload')
        drop('waiting', id)
        if stored[1] then
            local job = parse(id, stored[1])
            sequence = sequence + 1
            job.state, job.token, job.at, job.worker = ACTIVE, sequence, now + lease, worker
            job.deliveries = job.deliveries + 1
            local header = header_of(job)
            call('HSET', base .. 'job:' .. id, 'header', header)
            put('leases', job.at, numbered(job))
            tell(STARTED, id)
            claimed[#claimed + 1] = id
            claimed[#claimed + 1] = header
            claimed[#claimed + 1] = stored[2]
        end
    end
end

-- In how many milliseconds something changes by itself; -1 if nothing will.
local function next_in()
    local due = call('ZRANGE', base .. 'due', 0, 0, 'WITHSCORES')[2]
    local lease = call('ZRANGE', base .. 'leases', 0, 0, 'WITHSCORES')[2]
    if not due and not lease then
        return -1
    end
    return math.max(0, math.min(tonumber(due or math.huge), tonumber(lease or math.huge)) - now)
end

local outcomes = {}
for first = 6, #ARGV, 3 do
    outcomes[#outcomes + 1] = finish(ARGV[first], ARGV[first + 1], ARGV[first + 2])
end
local most, claimed, due_in = tonumber(ARGV[4]), {}, -1
flush()
if most > 0 then
    promote()
    flush()
    claim(claimed, ARGV[3], most, tonumber(ARGV[5]))
    flush()
    if #claimed < most * 3 then
        due_in = next_in()
    end
end
settle()
return { table.concat(outcomes), due_in, claimed }
