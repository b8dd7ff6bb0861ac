// An HTTP/2 server without TLS that fails each POST once it has all of it, by a reset of the stream. GET tells how many
// came. Prints `listening PORT`.
'use strict';
const http2 = require('node:http2');
let posts = 0;

const server = http2.createServer();
server.on('stream', (stream, headers) => {
  stream.on('error', () => {});
  if (headers[':method'] !== 'POST') {
    stream.respond({ ':status': 200 });
    stream.end(String(posts));
    return;
  }
  stream.resume();
  stream.on('end', () => {
    posts += 1;
    stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR);
  });
});
server.listen(0, '127.0.0.1', () => console.log(`listening ${server.address().port}`));
