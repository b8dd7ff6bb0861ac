-- ARGV: 2 for how long; from 3 on for each lease the job's id and the token. The answer has one digit for each:
-- 0 lost, 1 held, 2 held and the job's end is wanted.
local lease, answers = tonumber(ARGV[2]), {}
for first = 3, #ARGV, 2 do
    local job = load(ARGV[first])
    if job and job.state == ACTIVE and job.token == tonumber(ARGV[first + 1]) then
        job.at = now + lease
        save(job)
        enter(job)
        answers[#answers + 1] = 1 + job.cancel
    else
        answers[#answers + 1] = 0
    end
end
settle()
return table.concat(answers)
