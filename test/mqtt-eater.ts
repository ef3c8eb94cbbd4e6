/**
 * A network that lets HTTPS through and not MQTT: a TCP proxy that looks at the protocols which a TLS client names in its first
 * message (ALPN, in the clear).
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** What is done to MQTT: let through, no answer ever, or a reset. */
export type Appetite = 'none' | 'swallow' | 'reset';

export interface MqttEater {
  readonly port: number;
  /** For connections from now on. */
  appetite: Appetite;
  /** Connections that were eaten. */
  readonly eaten: number;
  /** Ends those that are there. */
  cut(): void;
  stop(): Promise<void>;
}

export async function startMqttEater(toPort: number, first: Appetite): Promise<MqttEater> {
  const sockets = new Set<Socket>();
  const state = { appetite: first, eaten: 0 };
  const server = createServer((client) => {
    keep(client, sockets);
    client.once('data', (hello) => {
      if (state.appetite === 'none' || hello.includes('x-amzn-http-ca')) {
        pass(client, hello, toPort, sockets);
        return;
      }
      state.eaten++;
      if (state.appetite === 'reset') client.resetAndDestroy();
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    port: (server.address() as AddressInfo).port,
    get appetite() {
      return state.appetite;
    },
    set appetite(appetite) {
      state.appetite = appetite;
    },
    get eaten() {
      return state.eaten;
    },
    cut,
    async stop() {
      const closed = once(server, 'close');
      server.close();
      cut();
      await closed;
    },
  };
}

function pass(client: Socket, hello: Buffer, toPort: number, sockets: Set<Socket>): void {
  const server = connect(toPort, '127.0.0.1');
  keep(server, sockets);
  client.once('close', () => server.destroySoon());
  server.once('close', () => client.destroySoon());
  server.write(hello);
  client.pipe(server);
  server.pipe(client);
}

function keep(socket: Socket, sockets: Set<Socket>): void {
  sockets.add(socket);
  socket.on('error', () => undefined); // 'close' follows
  socket.once('close', () => sockets.delete(socket));
}
