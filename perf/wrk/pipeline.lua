-- Sixteen requests in one write; wrk counts each of the answers.
init = function(args)
    local depth = tonumber(args[1] or "16")
    request_block = string.rep(wrk.format("GET", "/"), depth)
end

request = function()
    return request_block
end
