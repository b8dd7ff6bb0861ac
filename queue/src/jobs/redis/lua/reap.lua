-- ARGV: 2 at how many jobs to stop, 3 the error of jobs whose last lease expired. Delayed jobs are made ready in any
-- case, up to a bound of their own.
local left, message = tonumber(ARGV[2]), ARGV[3]
local stalled, dead, forgotten = {}, {}, 0

local function take_back(job)
    leave(job)
    if job.deliveries >= math.max(job.most, 1) then
        job.state, job.at = DEAD, now
        save(job, 'error', message)
        dead[#dead + 1] = job.id
        tell(DIED, job.id)
    else
        line_up(job, 0)
        save(job)
        stalled[#stalled + 1] = job.id
        tell(STALLED, job.id)
    end
    enter(job)
end

local function head(order)
    return left > 0 and call('ZRANGEBYSCORE', base .. order, '-inf', now, 'LIMIT', 0, left) or {}
end

local function is_behind(order)
    return #call('ZRANGEBYSCORE', base .. order, '-inf', now, 'LIMIT', 0, 1) > 0
end

is_work = promote() > 0
for _, member in ipairs(head('leases')) do
    local job = load(member:sub(9))
    left = left - 1
    is_work = is_work or concurrency ~= nil
    if not job or job.state ~= ACTIVE then
        drop('leases', member)
    elseif job.cancel == 1 then
        forget(job)
        tell(CANCELLED, job.id)
    else
        take_back(job)
    end
end
for _, id in ipairs(head('expiry')) do
    local job = load(id)
    left = left - 1
    forgotten = forgotten + 1
    if job then
        forget(job)
    else
        drop('expiry', id)
    end
end
settle()
local is_more = is_behind('leases') or is_behind('expiry') or is_behind('due')
return { stalled, dead, forgotten, is_more and 1 or 0 }
