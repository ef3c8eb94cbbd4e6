/** Clients that mean ill: each opens a connection, says something wrong, and goes in a way of its own. */
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Dice } from './dice.js';
import { anyPacket, connectBytes, mutant } from './mqtt-mutants.js';

const LISTEN_MS = 15;

/** Resolves when the connection is over. */
export async function attack(port: number, dice: Dice): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  if (dice.chance(0.3))
    socket.pause(); // reads nothing
  else socket.resume();
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  if (dice.chance(0.01)) return stayHalfOpen(socket, closed, dice);
  await say(socket, conversation(dice), dice);
  await Promise.race([closed, sleep(dice.below(LISTEN_MS))]);
  if (dice.chance(0.4)) socket.resetAndDestroy();
  else if (dice.chance(0.5)) socket.destroy();
  else socket.end();
  socket.resume();
  setTimeout(() => socket.destroy(), 100).unref();
  return closed;
}

function conversation(dice: Dice): Buffer {
  const version = dice.chance(0.8) ? 4 : 5;
  const hello = connectBytes(dice, version);
  const opening = dice.chance(0.75) ? hello : dice.chance(0.7) ? mutant(dice, hello) : Buffer.alloc(0);
  const parts = [opening];
  for (let left = dice.below(12); left > 0; left--) {
    const packet = anyPacket(dice, version);
    parts.push(dice.chance(0.3) ? mutant(dice, packet) : packet);
  }
  return Buffer.concat(parts);
}

async function say(socket: Socket, bytes: Buffer, dice: Dice): Promise<void> {
  if (dice.chance(0.95)) {
    socket.write(bytes);
    return;
  }
  // Byte by byte, with a pause now and then.
  for (let at = 0; at < Math.min(bytes.length, 200) && socket.writable; at++) {
    socket.write(bytes.subarray(at, at + 1));
    if (at % 20 === 0) await sleep(1);
  }
}

/** Says nothing, half of something, or hello and nothing more; the other side has to end it. */
async function stayHalfOpen(socket: Socket, closed: Promise<void>, dice: Dice): Promise<void> {
  const hello = connectBytes(dice, 4, 1);
  socket.write(hello.subarray(0, dice.pick([0, 5, hello.length])));
  socket.resume();
  return closed;
}
