import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { pino } from 'pino';
import t from 'tap';
import { EdgetallyError } from '../../shared/errors.js';
import { MqttLink } from './mqtt-link.js';
import { pushSchema } from './options.js';

t.test('stopped while it goes on with an older MQTT, it leaves no connection behind', async (t) => {
  let stopped: Promise<void> | undefined;
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    // [MQTT-3.2.2.3] return code 1: not in this version
    socket.once('data', () => socket.write(Buffer.from([0x20, 2, 0, 1])));
    socket.on('error', () => undefined);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  let attempts = 0;
  const link: MqttLink = new MqttLink(
    pushSchema.parse({ url: `mqtt://127.0.0.1:${port}` }),
    {
      credentials: async () => {
        if (++attempts === 2) stopped = link.stop();
        return {};
      },
      explain: () => new EdgetallyError('link-refused', 'refused'),
      up: () => undefined,
      down: () => undefined,
      message: () => undefined,
    },
    () => performance.now(),
    pino({ level: 'silent' }),
  );
  link.start();
  while (stopped === undefined) await new Promise((resolve) => setTimeout(resolve, 5));
  await stopped;
  t.equal(attempts, 2, 'it did go on');
  const probe = connect(port, '127.0.0.1'); // comes after whatever the link has opened
  await once(server, 'connection');
  while (sockets.at(-1)?.remotePort !== probe.localPort) await once(server, 'connection');
  t.equal(sockets.length, 2, 'the first connection, and the one of this test');
});
