-- POST /echo: a rule can only answer with text, and a body may hold any byte.
core.register_service("echo", "http", function(applet)
    local body = applet:receive()
    applet:set_status(200)
    applet:add_header("content-length", tostring(#body))
    applet:add_header("content-type", "application/octet-stream")
    applet:start_response()
    applet:send(body)
end)
