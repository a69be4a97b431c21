// Node's own http module: node node.js PORT WORKERS
'use strict';
const cluster = require('node:cluster');
const http = require('node:http');

const port = Number(process.argv[2]);
const workers = Number(process.argv[3]);
const COMMENTS = /^\/api\/users\/([^/]+)\/posts\/([^/]+)\/comments$/;

// A string body leaves in one piece with the head; a Buffer would be a second one.
function answer(response, type, body) {
    response.removeHeader('Connection');
    response.writeHead(200, { 'Content-Type': type, 'Content-Length': body.length });
    response.end(body, 'latin1');
}

function echo(request, response) {
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', () => {
        const body = chunks.length === 1 ? chunks[0] : Buffer.concat(chunks);
        answer(response, request.headers['content-type'] ?? 'application/octet-stream', body);
    });
}

function serve(request, response) {
    if (request.method === 'POST' && request.url === '/echo')
        return echo(request, response);
    if (request.url === '/')
        return answer(response, 'text/plain', 'Hello, World!');
    if (request.url === '/api/json')
        return answer(response, 'application/json', JSON.stringify({ message: 'Hello, World!' }));
    const comments = COMMENTS.exec(request.url);
    if (comments) {
        const body = JSON.stringify({ id: comments[1], post: comments[2], comments: [] });
        return answer(response, 'application/json', body);
    }
    response.writeHead(404).end();
}

if (workers > 1 && cluster.isPrimary) {
    for (let i = 0; i < workers; i++)
        cluster.fork();
    process.on('SIGTERM', () => {
        for (const worker of Object.values(cluster.workers))
            worker.kill();
        process.exit(0);
    });
} else {
    const server = http.createServer({ headersTimeout: 0, requestTimeout: 0, keepAliveTimeout: 0 }, serve);
    server.listen({ host: '127.0.0.1', port, backlog: 65535 });
    process.on('SIGTERM', () => process.exit(0));
}
