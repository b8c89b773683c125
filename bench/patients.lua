-- wrk: posts random valid patients, and prints rates, latencies and errors as one JSON line.
local posts, at = {}, 0

function init()
  math.randomseed(20261)
  local genders, bloods = {"female", "male"}, {"A", "B", "AB", "O"}
  local headers = {["Content-Type"] = "application/json"}
  for i = 1, 4096 do
    local diastolic = math.random(40, 130)
    local body = string.format(
      '{"age_years":%d,"gender":"%s","blood_type":"%s","systolic_mmhg":%d,"diastolic_mmhg":%d,"exercise_days_per_month":%d}',
      math.random(0, 120), genders[math.random(2)], bloods[math.random(4)], math.random(diastolic + 10, 220), diastolic, math.random(0, 31))
    posts[i] = wrk.format("POST", "/api/v1/predictions", headers, body)
  end
end

function request()
  at = at % #posts + 1
  return posts[at]
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    'RESULT {"requests":%d,"seconds":%.6f,"p50_us":%d,"p99_us":%d,"errors":%d}\n', summary.requests, summary.duration / 1e6,
    latency:percentile(50), latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
