/**
 * A broker of the test's own, over TCP or TLS: answers rightly when calm, and else with mutated packets at any point. What the
 * client says is read by mqtt-packet, so a calm one sees PUBACKs and PUBLISHes as they are.
 */
import { EventEmitter, once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TlsOptions } from 'node:tls';
import { generate, type IPublishPacket, type Packet, parser } from 'mqtt-packet';
import type { Test } from 'tap';
import type { Dice } from './dice.js';
import { anyPacket, type MqttVersion, mutant } from './mqtt-mutants.js';

interface Peer {
  readonly socket: Socket;
  version: MqttVersion;
}

export class HostileBroker extends EventEmitter<{ publish: [IPublishPacket]; puback: [number]; subscribed: [] }> {
  readonly #server: Server;
  readonly #dice: Dice;
  readonly #peers = new Set<Peer>();
  /** What mutated PUBLISHes are made of. */
  readonly #bait: () => { topic: string; payload: Uint8Array };
  calm = false;
  connections = 0;

  constructor(dice: Dice, bait: () => { topic: string; payload: Uint8Array }, tls?: TlsOptions) {
    super();
    this.#dice = dice;
    this.#bait = bait;
    this.#server = tls === undefined ? createServer() : createTlsServer(tls);
    this.#server.on(tls === undefined ? 'connection' : 'secureConnection', (socket: Socket) => this.#arrived(socket));
    this.#server.on('tlsClientError', () => undefined);
  }

  async listen(t: Test, port = 0): Promise<number> {
    this.#server.listen(port, '127.0.0.1');
    await once(this.#server, 'listening');
    t.teardown(() => this.close());
    return (this.#server.address() as { port: number }).port;
  }

  async close(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const { socket } of this.#peers) socket.destroy();
    await closed;
  }

  /** To whoever is connected. */
  publish(topic: string, payload: Uint8Array, qos: 0 | 1, messageId = 1): void {
    for (const { socket, version } of this.#peers) {
      const packet = { cmd: 'publish', topic, payload: Buffer.from(payload), qos, messageId } as const;
      socket.write(generate({ ...packet, dup: false, retain: false }, { protocolVersion: version }));
    }
  }

  #arrived(socket: Socket): void {
    this.connections++;
    const peer: Peer = { socket, version: 4 };
    this.#peers.add(peer);
    socket.on('error', () => undefined);
    socket.once('close', () => this.#peers.delete(peer));
    const settings = { protocolVersion: 4 };
    const reader = parser(settings);
    reader.on('packet', (packet: Packet) => {
      if (packet.cmd === 'connect') settings.protocolVersion = packet.protocolVersion ?? 4;
      this.#heard(peer, packet);
    });
    reader.on('error', () => socket.destroy());
    socket.on('data', (chunk) => reader.parse(chunk));
    if (this.calm) return;
    // A bad connection does not last.
    setTimeout(() => socket.destroy(), 60 + this.#dice.below(120)).unref();
  }

  #heard(peer: Peer, packet: Packet): void {
    if (packet.cmd === 'connect') {
      peer.version = packet.protocolVersion === 5 ? 5 : 4;
      this.#answer(peer, {
        cmd: 'connack',
        sessionPresent: false,
        ...(peer.version === 5 ? { reasonCode: 0 } : { returnCode: 0 }),
      });
    } else if (packet.cmd === 'subscribe') {
      const granted = packet.subscriptions.map(({ qos }) => qos);
      this.#answer(peer, { cmd: 'suback', messageId: packet.messageId!, granted });
      this.emit('subscribed');
    } else if (packet.cmd === 'publish') {
      if (packet.qos === 1) this.#answer(peer, { cmd: 'puback', messageId: packet.messageId! });
      this.emit('publish', packet);
    } else if (packet.cmd === 'pingreq') this.#answer(peer, { cmd: 'pingresp' });
    else if (packet.cmd === 'puback') this.emit('puback', packet.messageId!);
  }

  #answer({ socket, version }: Peer, packet: Packet): void {
    const bytes = generate(packet, { protocolVersion: version });
    if (this.calm) {
      socket.write(bytes);
      return;
    }
    const dice = this.#dice;
    const share = packet.cmd === 'connack' ? 0.15 : 0.3;
    socket.write(dice.chance(share) ? mutant(dice, bytes) : bytes);
    if (packet.cmd === 'connack' && dice.chance(0.5)) return;
    for (let left = 1 + dice.below(6); left > 0; left--) socket.write(this.#nonsense(version));
  }

  #nonsense(version: MqttVersion): Buffer {
    const dice = this.#dice;
    if (dice.chance(0.4)) return dice.chance(0.5) ? anyPacket(dice, version) : mutant(dice, anyPacket(dice, version));
    const { topic, payload } = this.#bait();
    const messageId = 1 + dice.below(9);
    const qos = dice.pick([0, 1, 2] as const);
    const fields = {
      cmd: 'publish',
      topic,
      payload: Buffer.from(payload),
      qos,
      messageId,
      dup: false,
      retain: false,
    } as const;
    return mutant(dice, generate(fields, { protocolVersion: version }));
  }
}
