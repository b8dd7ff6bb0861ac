#!lua flags=allow-oom
-- KEYS: the role. ARGV: 1 the holder, 2 for how many milliseconds. 1 if it has it now.
local leader = redis.call('GET', KEYS[1])
if leader and leader ~= ARGV[1] then
    return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
