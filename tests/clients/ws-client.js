// node ws-client.js URL HOST COOKIE [hold]: echoes through the proxy and prints what it saw as JSON.
// With `hold` it prints `open` after the first echo, and waits for the other side to end.
'use strict';
const WebSocket = require('ws');
const [url, host, cookie, hold] = process.argv.slice(2);

const headers = { host };
if (cookie) headers.cookie = cookie;
const socket = new WebSocket(url, ['chat'], { headers });
const seen = { status: 0, origin: '', pinned: false, echoes: [], pong: false, code: 0 };
const messages = ['hello', Buffer.alloc(1 << 20, 7), ''];

socket.on('upgrade', (response) => {
  seen.status = response.statusCode;
  seen.origin = response.headers['x-origin'];
  seen.pinned = 'set-cookie' in response.headers;
});
socket.on('unexpected-response', (_, response) => {
  seen.status = response.statusCode;
  console.log(JSON.stringify(seen));
  process.exit(0);
});
socket.on('open', () => {
  seen.protocol = socket.protocol;
  socket.ping();
  for (const message of messages) socket.send(message);
});
socket.on('pong', () => { seen.pong = true; });
socket.on('message', (data, binary) => {
  const sent = messages[seen.echoes.length];
  seen.echoes.push(Buffer.from(sent).equals(data) && binary === Buffer.isBuffer(sent));
  if (seen.echoes.length < messages.length) return;
  if (hold) console.log('open');
  else socket.close(4001);
});
socket.on('close', (code) => {
  seen.code = code;
  console.log(JSON.stringify(seen));
});
socket.on('error', (error) => { seen.error = error.message; });
