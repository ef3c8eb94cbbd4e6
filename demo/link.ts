/**
 * The link between gateway and cloud as a TCP proxy that can fail: `cut` ends every connection and refuses new ones,
 * `stall` keeps them open and lets no byte through (a link that looks up and is not), `restore` mends both. Holds no more
 * than the sockets do.
 */

import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export type LinkState = 'up' | 'cut' | 'stalled';

export interface Link {
  readonly port: number;
  readonly state: LinkState;
  /** How many connections were ended or refused by `cut`. */
  readonly refused: number;
  cut(): void;
  stall(): void;
  restore(): void;
  /** Idempotent; ends every connection. */
  stop(): Promise<void>;
}

interface Pair {
  readonly near: Socket;
  readonly far: Socket;
}

export async function startLink(target: { port: number; host?: string }, port = 0): Promise<Link> {
  const pairs = new Set<Pair>();
  let state: LinkState = 'up';
  let refused = 0;

  const server = createServer((near) => {
    if (state === 'cut') {
      refused++;
      near.resetAndDestroy();
      return;
    }
    const pair = { near, far: connect(target.port, target.host ?? '127.0.0.1') };
    pairs.add(pair);
    join(pair, () => pairs.delete(pair));
    if (state === 'stalled') hold(pair);
    else flow(pair);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });

  const endAll = (): void => {
    for (const pair of pairs) {
      pair.near.destroy();
      pair.far.destroy();
    }
  };
  return {
    port: (server.address() as AddressInfo).port,
    get state() {
      return state;
    },
    get refused() {
      return refused;
    },
    cut() {
      state = 'cut';
      refused += pairs.size;
      endAll();
    },
    stall() {
      state = 'stalled';
      for (const pair of pairs) hold(pair);
    },
    restore() {
      state = 'up';
      for (const pair of pairs) flow(pair);
    },
    async stop() {
      state = 'cut';
      endAll();
      if (server.listening) await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/** Whatever ends one side ends the other. */
function join({ near, far }: Pair, onEnd: () => void): void {
  for (const [one, other] of [
    [near, far],
    [far, near],
  ] as const) {
    one.on('error', () => undefined); // 'close' follows
    one.on('close', () => {
      other.destroySoon(); // what was read before still arrives
      onEnd();
    });
  }
}

function flow({ near, far }: Pair): void {
  near.pipe(far);
  far.pipe(near);
}

function hold({ near, far }: Pair): void {
  near.unpipe(far);
  far.unpipe(near);
  near.pause();
  far.pause();
}
