-- GET /api/users/{id}/posts/{post}/comments
local r = lighty.r
local id, post = string.match(r.req_attr["uri.path"], "^/api/users/([^/]+)/posts/([^/]+)/comments$")
if not id then
    return 404
end
r.resp_header["Content-Type"] = "application/json"
r.resp_body.set({ '{"id":"', id, '","post":"', post, '","comments":[]}' })
return 200
