-- Requests for wrk, formatted before the run: wrk -s requests.lua URL -- KIND [KEYS [VALUE_BYTES]].
-- KIND is one of the functions of `kinds` below. Keys are bench/00000000 and so on, in a scattered
-- order; each thread begins at another. Prints one line that scripts read:
-- RESULT <requests> <requests/s> <p50 us> <p99 us> <errors>

local DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
local BATCH_OPS = 100
local JSON = { ["Content-Type"] = "application/json" }

local threads = 0
local requests = {}
local at = 0

-- Base64 of random bytes.
local function encoded(bytes)
    local text = {}
    for i = 1, math.floor(bytes / 3) * 4 do
        local digit = math.random(64)
        text[i] = DIGITS:sub(digit, digit)
    end
    local rest = bytes % 3
    if rest > 0 then
        text[#text + 1] = rest == 1 and "AA==" or "AAA="
    end
    return table.concat(text)
end

local function base64(data)
    local text = data:gsub("..?.?", function(three)
        local a, b, c = three:byte(1, 3)
        local bits = a * 65536 + (b or 0) * 256 + (c or 0)
        local four = ""
        for shift = 3, 0, -1 do
            local digit = math.floor(bits / 64 ^ shift) % 64 + 1
            four = four .. DIGITS:sub(digit, digit)
        end
        return four:sub(1, #three + 1) .. ("="):rep(3 - #three)
    end)
    return text
end

local function name(number)
    return string.format("bench/%08d", number)
end

local kinds = {}

kinds["varved-put"] = function(number, bytes)
    return wrk.format("PUT", "/kv/" .. name(number), JSON, '{"value":"' .. encoded(bytes) .. '"}')
end

kinds["varved-get"] = function(number)
    return wrk.format("GET", "/kv/" .. name(number))
end

kinds["varved-get-raw"] = function(number)
    return wrk.format("GET", "/kv/" .. name(number) .. "?raw")
end

kinds["varved-batch"] = function(number, bytes, keys)
    local ops = {}
    for i = 1, BATCH_OPS do
        ops[i] = string.format('{"op":"put","key":"%s","value":"%s"}',
                               name((number + i * 7919) % keys), encoded(bytes))
    end
    return wrk.format("POST", "/kv/batch", JSON, '{"ops":[' .. table.concat(ops, ",") .. "]}")
end

kinds["webdis-put"] = function(number, bytes)
    return wrk.format("PUT", "/SET/" .. name(number):gsub("/", "%%2F"), nil, encoded(bytes))
end

kinds["webdis-get"] = function(number)
    return wrk.format("GET", "/GET/" .. name(number):gsub("/", "%%2F"))
end

kinds["webdis-get-raw"] = function(number)
    return wrk.format("GET", "/GET/" .. name(number):gsub("/", "%%2F") .. ".txt")
end

kinds["etcd-put"] = function(number, bytes)
    return wrk.format("POST", "/v3/kv/put", JSON, string.format(
        '{"key":"%s","value":"%s"}', base64(name(number)), encoded(bytes)))
end

kinds["etcd-get"] = function(number)
    return wrk.format("POST", "/v3/kv/range", JSON,
                      string.format('{"key":"%s"}', base64(name(number))))
end

kinds["empty-get"] = kinds["varved-get"]
kinds["empty-put"] = kinds["varved-put"]

function setup(thread)
    thread:set("thread_number", threads)
    threads = threads + 1
end

function init(arguments)
    local kind = kinds[arguments[1] or ""]
    local keys = tonumber(arguments[2] or "20000")
    local bytes = tonumber(arguments[3] or "100")
    assert(kind, "there is no such kind of request")
    math.randomseed(7 + thread_number)
    local count = arguments[1]:find("batch") and 200 or keys
    for i = 1, count do
        requests[i] = kind(i * 7919 % keys, bytes, keys)
    end
    at = thread_number * math.floor(count / 4)
end

function request()
    at = at % #requests + 1
    return requests[at]
end

function done(summary, latency, _)
    local errors = summary.errors
    io.write(string.format("RESULT %d %.0f %.0f %.0f %d\n", summary.requests,
                           summary.requests / summary.duration * 1e6, latency:percentile(50),
                           latency:percentile(99),
                           errors.connect + errors.read + errors.write + errors.status +
                               errors.timeout))
end
