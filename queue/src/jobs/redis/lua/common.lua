-- What every step that changes a queue begins with, after a line that makes the server refuse it before it starts where
-- it could not write all of it: as a replica, or, if it brings jobs, out of memory. What becomes of jobs, and makes room,
-- is not refused for that.
--
-- KEYS[1] is what the names of all keys of the queue begin with; ARGV[1] is '1' if the step may have been done
-- before, by the same call, whose answer was lost.
local base, call, pack, unpack_from = KEYS[1], redis.call, struct.pack, struct.unpack
local again = ARGV[1] == '1'

-- The header of a job, followed by the name of the worker that had it last. `header.rs` reads it too.
local HEADER = '>BBi4I4I4I8I8I8I8I8I8I8I8c8c8'
local HEADER_LENGTH = 94
local NO_NONCE = ('\0'):rep(8)
local WAITING, DELAYED, ACTIVE, COMPLETED, DEAD = 1, 2, 3, 4, 5
-- Which list of generations a job is in. Active jobs are few, and listed by their leases.
local LISTS = { 'waiting', 'delayed', false, 'completed', 'dead' }
local ENQUEUED, STARTED, ENDED_WELL, RETRYING, DIED, STALLED, CANCELLED, PAUSED, RESUMED = 1, 2, 3, 4, 5, 6, 7, 8, 9
-- Delayed jobs that one step makes ready at most.
local PROMOTIONS = 1000
-- How many arguments a command gets at most; more would not fit on the stack. Even.
local CHUNK = 2000

-- The clock of this queue, in milliseconds. Where the server's goes back, this one does not: from there on it is ahead
-- by as much, and goes on.
local time = call('TIME')
local meta = call('HMGET', base .. 'meta', 'clock', 'sequence', 'idle', 'paused', 'concurrency', 'max_jobs', 'ahead')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + (meta[7] or 0)
local last = tonumber(meta[1] or 0)
if now < last then
    call('HSET', base .. 'meta', 'ahead', (meta[7] or 0) + last - now)
    now = last
end
-- Generations and tokens are counted together.
local sequence = tonumber(meta[2] or 0)
local paused = meta[4] == '1'
local concurrency = meta[5] and tonumber(meta[5])

-- What is to be written to the orders, and to be told, at the end.
local added, dropped, events, is_watched, is_work = {}, {}, {}, nil, false

local function put(order, score, member)
    local list = added[order]
    if not list then
        list = {}
        added[order] = list
    end
    list[#list + 1] = score
    list[#list + 1] = member
end

local function drop(order, member)
    local list = dropped[order]
    if not list then
        dropped[order] = { member }
    else
        list[#list + 1] = member
    end
end

local function write(command, order, list)
    for first = 1, #list, CHUNK do
        call(command, base .. order, unpack(list, first, math.min(first + CHUNK - 1, #list)))
    end
end

-- Writes the orders: one command for each, whatever the number of jobs.
local function flush()
    for order, list in pairs(dropped) do
        write('ZREM', order, list)
    end
    for order, list in pairs(added) do
        write('ZADD', order, list)
    end
    added, dropped = {}, {}
end

-- Events are made only for those who listen.
local function tell(event, id)
    if is_watched == nil then
        is_watched = call('PUBSUB', 'NUMSUB', base .. 'events')[2] > 0
    end
    if is_watched then
        events[#events + 1] = pack('>BI2', event, #id) .. id
    end
end

-- The end of every step. Those who wait are told once of new work; until one of them waits again, nobody is.
local function settle()
    flush()
    if #events > 0 then
        call('PUBLISH', base .. 'events', table.concat(events))
    end
    if is_work and meta[3] == '1' then
        call('PUBLISH', base .. 'wake', '')
        call('HSET', base .. 'meta', 'clock', now, 'sequence', sequence, 'idle', 0)
    else
        call('HSET', base .. 'meta', 'clock', now, 'sequence', sequence)
    end
end

local function parse(id, header)
    local state, cancel, priority, deliveries, most, generation, created, ready, delay, retention, token, at, expires,
        enqueue, finish = unpack_from(HEADER, header)
    return {
        id = id,
        state = state,
        -- 1 if its end is wanted.
        cancel = cancel,
        priority = priority,
        deliveries = deliveries,
        most = most,
        generation = generation,
        created = created,
        ready = ready,
        delay = delay,
        retention = retention,
        -- Of the last claim.
        token = token,
        -- When the lease ends, or the job ended.
        at = at,
        -- When it is forgotten; 0 for never.
        expires = expires,
        -- Of the calls that enqueued it and that ended its last delivery.
        enqueue = enqueue,
        finish = finish,
        worker = header:sub(HEADER_LENGTH + 1),
    }
end

local function load(id)
    local header = call('HGET', base .. 'job:' .. id, 'header')
    return header and parse(id, header)
end

local function header_of(job)
    return pack(HEADER, job.state, job.cancel, job.priority, job.deliveries, job.most, job.generation, job.created,
        job.ready, job.delay, job.retention, job.token, job.at, job.expires, job.enqueue, job.finish) .. job.worker
end

local function save(job, ...)
    call('HSET', base .. 'job:' .. job.id, 'header', header_of(job), ...)
end

-- In order of these bytes, jobs of one priority are in order of becoming ready.
local function place_in_line(job)
    return pack('>I8I8', job.ready, job.generation) .. job.id
end

local function numbered(job)
    return pack('>I8', job.generation) .. job.id
end

-- Enters a job into the orders of its state.
local function enter(job)
    local state = job.state
    if state == WAITING then
        put('ready', -job.priority, place_in_line(job))
    elseif state == DELAYED then
        put('due', job.ready, numbered(job))
    elseif state == ACTIVE then
        put('leases', job.at, numbered(job))
    elseif job.expires > 0 then
        put('expiry', job.expires, job.id)
    end
    if LISTS[state] then
        put(LISTS[state], job.generation, job.id)
    end
end

-- Takes it out; it must be as it was when it entered.
local function leave(job)
    local state = job.state
    if state == WAITING then
        drop('ready', place_in_line(job))
    elseif state == DELAYED then
        drop('due', numbered(job))
    elseif state == ACTIVE then
        drop('leases', numbered(job))
    elseif job.expires > 0 then
        drop('expiry', job.id)
    end
    if LISTS[state] then
        drop(LISTS[state], job.id)
    end
end

local function forget(job)
    leave(job)
    call('UNLINK', base .. 'job:' .. job.id)
end

-- Into the line, now or after a delay. The caller saves and enters it.
local function line_up(job, delay)
    job.ready = now + delay
    job.state = delay > 0 and DELAYED or WAITING
    is_work = true
end

local function is_expired(job)
    return job.expires > 0 and job.expires <= now
end

local function load_living(id)
    local job = load(id)
    return job and not is_expired(job) and job
end

-- Makes delayed jobs ready whose time came.
local function promote()
    local due = call('ZRANGEBYSCORE', base .. 'due', '-inf', now, 'LIMIT', 0, PROMOTIONS)
    for _, member in ipairs(due) do
        local job = load(member:sub(9))
        if job and job.state == DELAYED then
            leave(job)
            job.state = WAITING
            save(job)
            enter(job)
        else
            drop('due', member)
        end
    end
    return #due
end
