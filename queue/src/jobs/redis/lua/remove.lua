-- ARGV: 2 the job's id. 1 if it had ended and is gone.
local job = load_living(ARGV[2])
local has_ended = job and job.state >= COMPLETED
if has_ended then
    forget(job)
end
settle()
return has_ended and 1 or 0
