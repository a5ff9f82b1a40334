-- GETs of one path for wrk, with the closing line of put.lua.

function done(summary, latency, _)
    local errors = summary.errors
    io.write(string.format("RESULT %.0f %.0f %.0f %d\n", summary.requests / summary.duration * 1e6,
                           latency:percentile(50), latency:percentile(99),
                           errors.connect + errors.read + errors.write + errors.status +
                               errors.timeout))
end
