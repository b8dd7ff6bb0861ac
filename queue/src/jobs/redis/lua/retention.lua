-- ARGV: 2 how long it is kept from now, 3 the job's id. 1 if it had ended.
local job = load_living(ARGV[3])
local has_ended = job and job.state >= COMPLETED
if has_ended then
    job.retention = tonumber(ARGV[2])
    job.expires = now + job.retention
    save(job)
    enter(job)
end
settle()
return has_ended and 1 or 0
