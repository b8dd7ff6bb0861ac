// An HTTP/2 server without TLS that fails each POST once it has all of it, by a reset of the stream. To `/busy` it
// refuses the first one of two before it looks at it. GET tells how many it looked at. Prints `listening PORT`.
'use strict';
const http2 = require('node:http2');
let posts = 0;
let refused = false;

const server = http2.createServer();
server.on('stream', (stream, headers) => {
  stream.on('error', () => {});
  if (headers[':method'] !== 'POST') {
    stream.respond({ ':status': 200 });
    stream.end(String(posts));
    return;
  }
  if (headers[':path'] === '/busy') {
    refused = !refused;
    if (refused) return stream.close(http2.constants.NGHTTP2_REFUSED_STREAM);
    stream.respond({ ':status': 200 });
    return stream.end('taken');
  }
  stream.resume();
  stream.on('end', () => {
    posts += 1;
    stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR);
  });
});
server.listen(0, '127.0.0.1', () => console.log(`listening ${server.address().port}`));
