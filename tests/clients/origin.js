// A plain server of Node's own. Prints `listening PORT`.
'use strict';
const http = require('node:http');
const name = process.argv[2];

function describe(request, response, body) {
  const { method, url, httpVersion, rawHeaders } = request;
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify({ method, url, httpVersion, rawHeaders, bytes: body.length }));
}

const server = http.createServer((request, response) => {
  response.setHeader('x-origin', name);
  if (request.url === '/stream') {
    response.setHeader('content-type', 'text/event-stream');
    let events = 0;
    const timer = setInterval(() => {
      response.write(`data: ${++events}\n\n`);
      if (events === 5) response.end();
    }, 20);
    response.on('close', () => clearInterval(timer));
    return;
  }
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => describe(request, response, Buffer.concat(chunks)));
});
// Short, so that the proxy's idle connections go stale while a test runs.
server.keepAliveTimeout = Number(process.argv[3] ?? 5000);
server.listen(0, '127.0.0.1', () => console.log(`listening ${server.address().port}`));
