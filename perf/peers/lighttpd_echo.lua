-- POST /echo. Some versions put the request's head in front of a body that came with it.
local r = lighty.r
if not r.req_body.collect then
    return 0
end
local length = tonumber(r.req_header["Content-Length"])
local body = r.req_body.get
r.resp_header["Content-Type"] = "application/octet-stream"
r.resp_body.set(string.sub(body, #body - length + 1))
return 200
