#!lua flags=no-writes
-- How many jobs are waiting, delayed, active, completed, dead.
local base, call = KEYS[1], redis.call
local time = call('TIME')
local meta = call('HMGET', base .. 'meta', 'clock', 'ahead')
local now = math.max(time[1] * 1000 + math.floor(time[2] / 1000) + (meta[2] or 0), tonumber(meta[1] or 0))
local due = call('ZCOUNT', base .. 'due', '-inf', now)
local function count(order)
    return call('ZCARD', base .. order)
end
return { count('waiting') + due, count('due') - due, count('leases'), count('completed'), count('dead') }
