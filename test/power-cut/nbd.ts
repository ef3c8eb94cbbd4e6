/**
 * Serves a disk to qemu: the network block device protocol, as much of it as qemu speaks to a raw disk (fixed newstyle
 * handshake, read, write, flush). One client; requests are done one after the other, in their order.
 * https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md
 */
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import type { VolatileDisk } from './volatile-disk.js';

const INIT_MAGIC = 0x4e42444d41474943n; // "NBDMAGIC"
const OPTION_MAGIC = 0x49484156454f5054n; // "IHAVEOPT"
const OPTION_REPLY_MAGIC = 0x3e889045565a9n;
const REQUEST_MAGIC = 0x25609513;
const REPLY_MAGIC = 0x67446698;
const FIXED_NEWSTYLE_NO_ZEROES = 3;
const OPTION = { abort: 2, go: 7 };
const REPLY = { ack: 1, info: 3, unsupported: 0x80000001 };
/** Has flags, takes flushes, takes FUA. */
const EXPORT_FLAGS = 1 | 4 | 8;
const COMMAND = { read: 0, write: 1, disconnect: 2, flush: 3 };
const FUA = 1;
const EINVAL = 22;

export async function serveDisk(disk: VolatileDisk, socketPath: string): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined); // the machine was killed
    serve(disk, socket).catch((error: Error) => socket.destroy(error));
  });
  server.listen(socketPath);
  await once(server, 'listening');
  return server;
}

async function serve(disk: VolatileDisk, socket: Socket): Promise<void> {
  const input = new Input(socket);
  const hello = Buffer.alloc(18);
  hello.writeBigUInt64BE(INIT_MAGIC, 0);
  hello.writeBigUInt64BE(OPTION_MAGIC, 8);
  hello.writeUInt16BE(FIXED_NEWSTYLE_NO_ZEROES, 16);
  socket.write(hello);
  await input.take(4); // the client's flags
  if (await haggle(disk, socket, input)) while (await obey(disk, socket, input));
  socket.end();
}

/** True once the client wants to begin. */
async function haggle(disk: VolatileDisk, socket: Socket, input: Input): Promise<boolean> {
  for (;;) {
    const head = await input.take(16);
    if (head.readBigUInt64BE(0) !== OPTION_MAGIC) throw new Error('the client does not speak NBD');
    const option = head.readUInt32BE(8);
    await input.take(head.readUInt32BE(12));
    const reply = (type: number, data = Buffer.alloc(0)) => socket.write(optionReply(option, type, data));
    if (option === OPTION.go) {
      const info = Buffer.alloc(12); // information type 0: the export
      info.writeBigUInt64BE(BigInt(disk.bytes), 2);
      info.writeUInt16BE(EXPORT_FLAGS, 10);
      reply(REPLY.info, info);
      reply(REPLY.ack);
      return true;
    }
    reply(option === OPTION.abort ? REPLY.ack : REPLY.unsupported);
    if (option === OPTION.abort) return false;
  }
}

function optionReply(option: number, type: number, data: Buffer): Buffer {
  const head = Buffer.alloc(20);
  head.writeBigUInt64BE(OPTION_REPLY_MAGIC, 0);
  head.writeUInt32BE(option, 8);
  head.writeUInt32BE(type, 12);
  head.writeUInt32BE(data.length, 16);
  return Buffer.concat([head, data]);
}

/** One request; false after the last. */
async function obey(disk: VolatileDisk, socket: Socket, input: Input): Promise<boolean> {
  const head = await input.take(28);
  if (head.readUInt32BE(0) !== REQUEST_MAGIC) throw new Error('out of step');
  const [flags, command] = [head.readUInt16BE(4), head.readUInt16BE(6)];
  const offset = Number(head.readBigUInt64BE(16));
  const length = head.readUInt32BE(24);
  if (command === COMMAND.disconnect) return false;
  let data: Buffer | undefined;
  let error = 0;
  if (command === COMMAND.read) data = disk.read(offset, length);
  else if (command === COMMAND.write) disk.write(offset, await input.take(length));
  else if (command !== COMMAND.flush) error = EINVAL;
  if (command === COMMAND.flush || flags & FUA) disk.flush();
  if (disk.dead) return false;
  const reply = Buffer.alloc(16);
  reply.writeUInt32BE(REPLY_MAGIC, 0);
  reply.writeUInt32BE(error, 4);
  head.copy(reply, 8, 8, 16); // the request's cookie
  socket.write(reply);
  if (data !== undefined) socket.write(Buffer.from(data));
  return true;
}

/** So many bytes at a time. */
class Input {
  readonly #chunks: AsyncIterator<Buffer<ArrayBuffer>>;
  #rest = Buffer.alloc(0);

  constructor(socket: Socket) {
    this.#chunks = socket[Symbol.asyncIterator]();
  }

  async take(bytes: number): Promise<Buffer> {
    const parts = [this.#rest];
    let have = this.#rest.length;
    while (have < bytes) {
      const { value, done } = await this.#chunks.next();
      if (done) throw new Error('the client is gone');
      parts.push(value as Buffer<ArrayBuffer>);
      have += value.length;
    }
    const all = parts.length === 1 ? this.#rest : Buffer.concat(parts);
    this.#rest = all.subarray(bytes);
    return all.subarray(0, bytes);
  }
}
