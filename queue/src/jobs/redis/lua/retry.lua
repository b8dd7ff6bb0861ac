-- ARGV: 2 the job's id. 1 if it was dead and is ready again.
local job = load_living(ARGV[2])
local is_dead = job and job.state == DEAD
if is_dead then
    leave(job)
    job.deliveries, job.cancel, job.at, job.expires = 0, 0, 0, 0
    line_up(job, 0)
    save(job)
    enter(job)
    tell(ENQUEUED, job.id)
end
settle()
return is_dead and 1 or 0
