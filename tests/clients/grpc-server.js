// A gRPC server without TLS, named by its first argument, at the address of its second. Prints `listening PORT`.
'use strict';
const path = require('node:path');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');
const name = process.argv[2];

const { test } = grpc.loadPackageDefinition(loader.loadSync(path.join(__dirname, 'echo.proto')));

function trailers() {
  const metadata = new grpc.Metadata();
  metadata.set('x-trailer', name);
  return metadata;
}

function count(call) {
  const limit = call.request.number;
  const write = (number) => {
    if (number > limit) return call.end(trailers());
    call.write({ text: name, number });
    setImmediate(write, number + 1);
  };
  write(1);
}

const server = new grpc.Server();
server.addService(test.Echo.service, {
  Unary: (call, done) => done(null, { text: `${name}: ${call.request.text}`, number: call.request.number }, trailers()),
  Count: count,
  Chat: (call) => {
    call.on('data', (message) => call.write({ text: name, number: message.number }));
    call.on('end', () => call.end(trailers()));
  },
  Fail: (call, done) => done({ code: grpc.status.FAILED_PRECONDITION, details: 'no, and why: ü', metadata: trailers() }),
});
server.bindAsync(process.argv[3] ?? '127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  console.log(`listening ${port}`);
});
