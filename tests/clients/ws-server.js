// A WebSocket server that echoes. Prints `listening PORT`.
'use strict';
const { WebSocketServer } = require('ws');
const name = process.argv[2];

const server = new WebSocketServer({ host: '127.0.0.1', port: 0, handleProtocols: (offered) => [...offered][0] });
server.on('headers', (headers) => headers.push(`x-origin: ${name}`));
server.on('connection', (socket) => {
  socket.on('message', (data, binary) => socket.send(data, { binary }));
  socket.on('close', (code) => console.log(`closed ${code}`));
});
server.on('listening', () => console.log(`listening ${server.address().port}`));
