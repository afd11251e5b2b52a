-- Asks a desk with wrk: one connection a thread, so that each response is known to be that of the request before it.
-- The environment says what: LOAD_BODIES (a JSON body a line, with @@ where the request's own word goes), LOAD_KEY,
-- LOAD_RATE (requests a second of all threads together; 0: the next as soon as the last one is answered), LOAD_THREADS,
-- LOAD_OUT (where every request is written: its start in seconds of the monotonic clock, its seconds, its status).
local ffi = require("ffi")
ffi.cdef("typedef struct { long seconds, nanoseconds; } moment; int clock_gettime(int clock, moment *now);")
local moment = ffi.new("moment")
local threads = {}
local number, bodies, begun, due = 0, {}, 0, 0
local rate, many = tonumber(os.getenv("LOAD_RATE")), tonumber(os.getenv("LOAD_THREADS"))
starts, took, codes = {}, {}, {}

local function now()
  ffi.C.clock_gettime(1, moment)
  return tonumber(moment.seconds) + tonumber(moment.nanoseconds) / 1e9
end

-- Letters, since figures might be taken for those of a card or of a telephone.
local function word(n)
  local letters = ""
  repeat
    letters = string.char(97 + n % 26) .. letters
    n = math.floor(n / 26)
  until n == 0
  return letters
end

function setup(thread)
  thread:set("own", #threads)
  table.insert(threads, thread)
end

function init()
  for line in io.lines(os.getenv("LOAD_BODIES")) do table.insert(bodies, line) end
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  wrk.headers["Authorization"] = "Bearer " .. os.getenv("LOAD_KEY")
  begun = now()
  due = begun + own / many * (rate > 0 and many / rate or 0)
end

if rate > 0 then
  function delay()
    local wait = due - now()
    due = due + many / rate
    return wait > 0 and math.floor(1000 * wait) or 0
  end
end

function request()
  -- Each thread walks through the questions from a place of its own.
  local body = bodies[(own * 37 + number) % #bodies + 1]
  local mark = word(math.floor(begun * 1000) % 1e6 * 1000 + own) .. "q" .. word(number)
  number = number + 1
  starts[number] = now()
  return wrk.format(nil, "/v1/query", nil, (body:gsub("@@", mark)))
end

function response(status)
  took[number], codes[number] = now() - starts[number], status
end

function done(summary)
  local out = io.open(os.getenv("LOAD_OUT"), "w")
  for _, thread in ipairs(threads) do
    local starts, took, codes = thread:get("starts"), thread:get("took"), thread:get("codes")
    for i = 1, #starts do
      if took[i] then out:write(string.format("%.6f %.6f %d\n", starts[i], took[i], codes[i])) end
    end
  end
  local errors = summary.errors
  out:write(string.format("lost %d\n", errors.connect + errors.read + errors.write + errors.timeout))
  out:close()
end
