/** The yardstick of the broker: aedes as it comes, which acknowledges every message and discards it. Counts them. */

import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { Aedes } from 'aedes';
import { counter } from './probe.js';

const broker = await Aedes.createBroker({
  maxClientsIdLength: 128,
  authorizePublish: (_client, _packet, callback) => {
    counter.value++;
    callback(null);
  },
});
const server = createServer((socket) => {
  socket.setNoDelay(true);
  broker.handle(socket);
});
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: (server.address() as AddressInfo).port })));
process.once('SIGTERM', () => process.exit(0));
