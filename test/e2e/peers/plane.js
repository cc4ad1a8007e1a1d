// SPDX-License-Identifier: Apache-2.0
//
// A control plane of @grpc/grpc-js, made of the project's proto files. It speaks
// with the test as plane.py does: one JSON object a line, messages as hex. Both
// ways they go through this library's own reading and writing.
//
//   node plane.js MODULES PROTO ADDRESS

'use strict';

const [modules, proto, address] = process.argv.slice(2);
const load = (name) => require(require.resolve(name, {paths: [modules]}));
const grpc = load('@grpc/grpc-js');
const loader = load('@grpc/proto-loader');

const definition = loader.loadSync('sentinel/v1/control.proto', {
  includeDirs: [proto],
  keepCase: true,
  longs: String,
  enums: String,
  oneofs: true,
});
const {ControlPlane} = grpc.loadPackageDefinition(definition).sentinel.v1;
const {Connect, QueryDns} = ControlPlane.service;

let streams = 0;
let newest = null;
let queries = 0;
const waiting = new Map();

const say = (line) => process.stdout.write(JSON.stringify(line) + '\n');

function connect(call) {
  const stream = ++streams;
  newest = call;
  say({open: stream, metadata: call.metadata.getMap()});
  call.on('data', (event) => say({
    message: Connect.requestSerialize(event).toString('hex'), stream}));
  call.on('end', () => { call.end(); say({close: stream}); });
  call.on('cancelled', () => say({close: stream}));
  call.on('error', () => {});
}

function query(call, answer) {
  const number = ++queries;
  waiting.set(number, answer);
  say({query: number,
       data: QueryDns.requestSerialize(call.request).toString('hex')});
}

function obey(order) {
  if (order.send !== undefined) {
    newest.write(Connect.responseDeserialize(Buffer.from(order.send, 'hex')));
  } else if (order.end !== undefined) {
    if (order.end)
      newest.emit('error', {code: grpc.status.UNAVAILABLE, details: 'asked'});
    else
      newest.end();
  } else if (order.answer !== undefined) {
    const answer = waiting.get(order.answer);
    if (order.data === null)
      answer({code: grpc.status.INTERNAL, details: 'as asked'});
    else
      answer(null, QueryDns.responseDeserialize(
          Buffer.from(order.data, 'hex')));
  }
}

const server = new grpc.Server({'grpc.max_receive_message_length': 16 << 20});
server.addService(ControlPlane.service, {Connect: connect, QueryDns: query});
server.bindAsync(address, grpc.ServerCredentials.createInsecure(), (error) => {
  if (error)
    throw error;
  say({ready: true});
});

let rest = '';
process.stdin.on('data', (chunk) => {
  const lines = (rest + chunk).split('\n');
  rest = lines.pop();
  lines.forEach((line) => obey(JSON.parse(line)));
});
process.stdin.on('end', () => process.exit(0));
