/** A TCP proxy that can stop handing on what the client says, so that its PUBACKs never arrive. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

export class DeafProxy {
  readonly port: number;
  isDeaf = false;
  readonly #server: Server;
  readonly #sockets: Set<Socket>;

  private constructor(server: Server, sockets: Set<Socket>) {
    this.#server = server;
    this.#sockets = sockets;
    this.port = (server.address() as AddressInfo).port;
  }

  static async start(toPort: number): Promise<DeafProxy> {
    const sockets = new Set<Socket>();
    const hears = (): boolean => !proxy.isDeaf;
    const server = createServer((client) => pair(client, connect(toPort, '127.0.0.1'), sockets, hears));
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const proxy = new DeafProxy(server, sockets);
    return proxy;
  }

  async stop(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}

function pair(client: Socket, server: Socket, sockets: Set<Socket>, hears: () => boolean): void {
  for (const [socket, other] of [
    [client, server],
    [server, client],
  ] as const) {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => {
      sockets.delete(socket);
      other.destroy();
    });
  }
  client.on('data', (chunk) => hears() && server.write(chunk));
  server.on('data', (chunk) => client.write(chunk));
}
