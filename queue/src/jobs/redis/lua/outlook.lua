#!lua flags=allow-oom
-- What somebody who waits can expect: 0 something to claim now, -1 only what is told, else in how many milliseconds a
-- delayed job is due. Notes that somebody waits, who is to be told.
local base, call = KEYS[1], redis.call
local meta = call('HMGET', base .. 'meta', 'clock', 'paused', 'concurrency', 'ahead')
local is_full = meta[3] and call('ZCARD', base .. 'leases') >= tonumber(meta[3])
local answer = -1
if meta[2] ~= '1' and not is_full then
    if call('ZCARD', base .. 'ready') > 0 then
        return 0
    end
    local due = call('ZRANGE', base .. 'due', 0, 0, 'WITHSCORES')[2]
    if due then
        local time = call('TIME')
        local now = math.max(time[1] * 1000 + math.floor(time[2] / 1000) + (meta[4] or 0), tonumber(meta[1] or 0))
        answer = math.max(0, tonumber(due) - now)
    end
end
if answer ~= 0 then
    call('HSET', base .. 'meta', 'idle', 1)
end
return answer
