-- Durable PUTs for wrk, formatted before the run: wrk -s put.lua URL [-- KEYS VALUE_BYTES].
-- Each thread writes keys of its own in a scattered order. Prints one line that scripts read:
-- RESULT <requests/s> <p50 us> <p99 us> <errors>

local threads = 0
local requests = {}
local at = 0

function setup(thread)
    thread:set("number", threads)
    threads = threads + 1
end

function init(arguments)
    local keys = tonumber(arguments[1] or "20000")
    local value_bytes = tonumber(arguments[2] or "100")
    local digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    math.randomseed(7 + number)
    for key = 1, keys do
        local value = {}
        for i = 1, math.floor(value_bytes / 3) * 4 do
            local digit = math.random(64)
            value[i] = digits:sub(digit, digit)
        end
        if value_bytes % 3 == 1 then value[#value + 1] = "AA==" end
        if value_bytes % 3 == 2 then value[#value + 1] = "AAA=" end
        local target = string.format("/kv/bench/%d/%08d", number, key * 7919 % keys)
        requests[key] = wrk.format("PUT", target, { ["Content-Type"] = "application/json" },
                                   '{"value":"' .. table.concat(value) .. '"}')
    end
end

function request()
    at = at % #requests + 1
    return requests[at]
end

function done(summary, latency, _)
    local errors = summary.errors
    io.write(string.format("RESULT %.0f %.0f %.0f %d\n", summary.requests / summary.duration * 1e6,
                           latency:percentile(50), latency:percentile(99),
                           errors.connect + errors.read + errors.write + errors.status +
                               errors.timeout))
end
