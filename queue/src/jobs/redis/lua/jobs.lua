#!lua flags=no-writes
-- ARGV: ids. What time it is, and of each job what is stored.
local base, call = KEYS[1], redis.call
local time = call('TIME')
local meta = call('HMGET', base .. 'meta', 'clock', 'ahead')
local now = math.max(time[1] * 1000 + math.floor(time[2] / 1000) + (meta[2] or 0), tonumber(meta[1] or 0))
local answer = { now }
for _, id in ipairs(ARGV) do
    answer[#answer + 1] = call('HMGET', base .. 'job:' .. id, 'header', 'payload', 'output', 'error')
end
return answer
