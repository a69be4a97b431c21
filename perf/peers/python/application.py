"""What the FastAPI peers serve, as its documentation advises where speed counts: coroutines, and answers
returned as Response objects, which nothing encodes or validates once more."""
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

# Unset, it is looked up for each request whether somebody wants spans, measurements or logs.
NO_TELEMETRY = {"tracing": False, "metrics": False, "logs": False}

app = FastAPI(openapi_url=None, telemetry=NO_TELEMETRY)


@app.get("/")
async def hello():
    return PlainTextResponse("Hello, World!")


@app.get("/api/json")
async def message():
    return JSONResponse({"message": "Hello, World!"})


@app.get("/api/users/{id}/posts/{post}/comments")
async def comments(id: str, post: str):
    return JSONResponse({"id": id, "post": post, "comments": []})


@app.post("/echo")
async def echo(request: Request):
    kind = request.headers.get("content-type", "application/octet-stream")
    return Response(await request.body(), media_type=kind)
