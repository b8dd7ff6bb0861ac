#!lua flags=allow-oom
-- KEYS: the set of all queues. ARGV: 1 one that is to be in it.
return redis.call('SADD', KEYS[1], ARGV[1])
