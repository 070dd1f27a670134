// A catalogue that knows nothing of sagas. `node catalogue.js PORT`
'use strict';

const path = require('node:path');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');
const { ReflectionService } = require('@grpc/reflection');

const types = loader.loadSync(path.join(__dirname, 'catalogue.proto'), { keepCase: true });
const { CatalogueService } = grpc.loadPackageDefinition(types).acme.catalogue.v1;
const holders = new Map(); // item -> { order, held_at }

// google.rpc.Status { code, message, details: [Any(google.rpc.ErrorInfo { reason, domain })] },
// written by hand: three strings and a number.
function refusal(code, reason, message) {
  const field = (number, bytes) =>
    Buffer.concat([Buffer.from([(number << 3) | 2, bytes.length]), bytes]);
  const info = Buffer.concat([
    field(1, Buffer.from(reason)), field(2, Buffer.from('catalogue.acme.example'))]);
  const any = Buffer.concat([
    field(1, Buffer.from('type.googleapis.com/google.rpc.ErrorInfo')), field(2, info)]);
  const status = Buffer.concat([
    Buffer.from([8, code]), field(2, Buffer.from(message)), field(3, any)]);
  const metadata = new grpc.Metadata();
  metadata.set('grpc-status-details-bin', status);
  return { code, details: message, metadata };
}

// Both set a state by the names in the request: asked again, they do nothing more.
function hold({ request: { item, order } }, answer) {
  const held = holders.get(item) ?? { order, at: Date.now() };
  if (held.order !== order) {
    return answer(refusal(grpc.status.FAILED_PRECONDITION, 'HELD', `${item} is held`));
  }
  holders.set(item, held);
  const seconds = Math.floor(held.at / 1000);
  answer(null, { item, held_at: { seconds, nanos: 0 } });
}

function free({ request: { item, order } }, answer) {
  if (holders.get(item)?.order === order) holders.delete(item);
  answer(null, {});
}

const server = new grpc.Server();
server.addService(CatalogueService.service, { Hold: hold, Free: free });
new ReflectionService(types).addToServer(server);
server.bindAsync(
  `127.0.0.1:${process.argv[2]}`, grpc.ServerCredentials.createInsecure(), (error) => {
    if (error) throw error;
  });
