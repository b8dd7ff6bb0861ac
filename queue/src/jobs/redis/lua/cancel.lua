-- ARGV: 2 the job's id. 0 there is none, 1 it is gone, 2 its worker will be told, 3 it has completed.
local job = load_living(ARGV[2])
local answer
if not job then
    answer = 0
elseif job.state == COMPLETED then
    answer = 3
elseif job.state == ACTIVE then
    job.cancel = 1
    save(job)
    answer = 2
else
    forget(job)
    tell(CANCELLED, job.id)
    answer = 1
end
settle()
return answer
