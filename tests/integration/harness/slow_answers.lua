-- For wrk: how many answers of its closed loop took longer than the first argument, in microseconds.
-- What wrk prints itself will not do: it adds to its histogram what an open loop might have seen
-- (stats_correct). One connection per thread, so that an answer belongs to the last request.
local ffi = require("ffi")
ffi.cdef[[
struct moment { long s; long ns; };
int clock_gettime(int clock, struct moment *now);
]]
local CLOCK_MONOTONIC = 1
local moment = ffi.new("struct moment")
local threads = {}
local limit_us, began_us

local function now_us()
    ffi.C.clock_gettime(CLOCK_MONOTONIC, moment)
    return tonumber(moment.s) * 1e6 + tonumber(moment.ns) / 1e3
end

function setup(thread)
    table.insert(threads, thread)
end

function init(arguments)
    limit_us = tonumber(arguments[1])
    count, slow = 0, 0
end

function request()
    began_us = now_us()
    return wrk.format()
end

function response()
    count = count + 1
    if now_us() - began_us > limit_us then
        slow = slow + 1
    end
end

function done()
    local all, late = 0, 0
    for _, thread in ipairs(threads) do
        all, late = all + thread:get("count"), late + thread:get("slow")
    end
    print(string.format("slow: %d of %d", late, all))
end
