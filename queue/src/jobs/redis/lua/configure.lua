-- ARGV: 2 whether it is paused, 3 and 4 how many jobs may be active and unfinished; empty for no limit.
local function set(field, value)
    if value == '' then
        call('HDEL', base .. 'meta', field)
    else
        call('HSET', base .. 'meta', field, value)
    end
end

set('paused', ARGV[2])
set('concurrency', ARGV[3])
set('max_jobs', ARGV[4])
if paused ~= (ARGV[2] == '1') then
    tell(paused and RESUMED or PAUSED, '')
end
is_work = true
settle()
return 1
