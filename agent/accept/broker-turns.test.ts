import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Client, PublishPacket } from 'aedes';
import t from 'tap';
import { Acknowledgements } from './broker-acknowledgements.js';
import { ReadTurns, TURN_SHARE_MS } from './broker-turns.js';

/** Time goes on where a test says so. */
function manualClock() {
  const clock = { ms: 0, nowMs: () => clock.ms, monotonicMs: () => clock.ms };
  return clock;
}

t.test(
  'in a turn of the event loop clients are read from for its share, the others in order in the next ones',
  async (t) => {
    const clock = manualClock();
    const turns = new ReadTurns(clock);
    const read: number[] = [];
    const clients = Array.from({ length: 6 }, (_, i) => {
      const client = { socket: { emit: () => tryToRead() } };
      const tryToRead = () => {
        if (!turns.mayRead(client)) return false;
        read.push(i);
        clock.ms += TURN_SHARE_MS / 2; // decoding what it has sent
        return true;
      };
      return { client, tryToRead };
    });
    for (const { tryToRead } of clients) tryToRead();
    t.strictSame(read, [0, 1], 'the turn is over, though four more have something');
    for (const { tryToRead } of clients) tryToRead();
    t.strictSame(read, [0, 1], 'asked again, it is not');
    turns.forget(clients[3]!.client);
    await nextTurn();
    t.strictSame(read, [0, 1, 2, 4], 'one that is gone is not waited for');
    clients[1]!.tryToRead();
    t.strictSame(read, [0, 1, 2, 4], 'who comes now is behind those that wait');
    while (read.length < 7) await nextTurn();
    t.strictSame(read, [0, 1, 2, 4, 5, 0, 1]);
    await nextTurn();
    t.ok(clients[0]!.tryToRead(), 'and where nobody waits, nobody has to');
  },
);

t.test('one client may take more than a share, and all have their turn all the same', async (t) => {
  const clock = manualClock();
  const turns = new ReadTurns(clock);
  const read: number[] = [];
  const clients = [0, 1, 2].map((i) => {
    const client = {
      socket: {
        emit: () => {
          if (turns.mayRead(client)) read.push(i);
          clock.ms += 10 * TURN_SHARE_MS;
          return true;
        },
      },
    };
    return client;
  });
  for (const { socket } of clients) socket.emit();
  while (read.length < 3) await nextTurn();
  t.strictSame(read, [0, 1, 2]);
});

t.test(
  'PUBACKs of one commit are written over several turns, for each client in order, and before it is read on',
  async (t) => {
    const clock = manualClock();
    const acknowledgements = new Acknowledgements(clock);
    const log: string[] = [];
    const clients = [0, 1, 2, 3].map((i) => {
      const write = (bytes: Buffer) => {
        log.push(`${i}:${[...Array(bytes.length / 4).keys()].map((at) => bytes.readUInt16BE(at * 4 + 2)).join()}`);
        clock.ms += TURN_SHARE_MS / 2;
      };
      return { closed: false, conn: { writable: true, writableNeedDrain: false, write } } as unknown as Client;
    });
    const acknowledge = (i: number, messageId: number, qos: 0 | 1 = 1) =>
      acknowledgements.take(clients[i]!, { messageId, qos, retain: false } as PublishPacket, () => log.push(`on ${i}`));
    for (const id of [1, 2]) for (const i of [0, 1, 2, 3]) t.ok(acknowledge(i, id));
    await Promise.resolve();
    t.strictSame(log, ['0:1,2', '1:1,2'], 'no more than the share of this turn');
    t.ok(acknowledge(3, 3));
    t.notOk(acknowledge(2, 4, 0), 'what aedes does itself');
    t.strictSame(log.slice(2), ['2:1,2'], 'comes after what waited for that client');
    while (log.length < 13) await nextTurn();
    t.strictSame(log.slice(3, 8), ['on 0', 'on 0', 'on 1', 'on 1', '3:1,2,3']);
    t.strictSame(log.slice(8).sort(), ['on 2', 'on 2', 'on 3', 'on 3', 'on 3']);
  },
);
