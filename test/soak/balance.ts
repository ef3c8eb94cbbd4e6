/**
 * The balance sheet of a soak: what the sensors published and had acknowledged, what each gateway says became of it, what
 * arrived in the cloud, and what a batch job says of it. Pure; `wrong` is empty where all of it agrees.
 */
import { type Books, imbalance, sumReasons } from '../../agent/books.js';
import type { Published } from './publish.js';
import type { Fate } from './readings.js';

export interface GatewayAccount {
  readonly published: Published;
  readonly books: Books;
  /** Readings in the windows that arrived, and readings that the gateway told of, over all device-days. */
  readonly arrived: number;
  readonly counted: number;
  /** Whether everything between sensor and agent was seen to leave: not behind a broker of somebody else's. */
  readonly seen: boolean;
}

type Row = readonly [label: string, of: (account: GatewayAccount) => number];

const REJECTED: readonly Fate[] = ['not-json', 'not-text', 'no-route', 'bad-time', 'no-metrics'];

const sum = (counts: Readonly<Partial<Record<string, number>>>) =>
  Object.values(counts).reduce<number>((total, count) => total + (count ?? 0), 0);

const ROWS: readonly Row[] = [
  ['distinct messages published, each acknowledged', ({ published }) => sum(published.distinct)],
  ['  acknowledgements, with repetitions', ({ published }) => sum(published.acknowledged)],
  ['  packets sent, with redeliveries', ({ published }) => sum(published.transmitted)],
  ['  of them redelivered after a lost connection', ({ published }) => published.redelivered],
  ['gateway: in', ({ books }) => books.in],
  ['  = counted', ({ books }) => books.counted],
  ['  + duplicate', ({ books }) => books.duplicate],
  ...REJECTED.map((reason): Row => [`  + rejected, ${reason}`, ({ books }) => books.rejected[reason] ?? 0]),
  ['  + held, from broken clocks', ({ books }) => books.held],
  ['  imbalance', ({ books }) => imbalance(books)],
  ['windows made coarser', ({ books }) => sumReasons(books.coarsened)],
  ['cloud: told of by the gateway', ({ counted }) => counted],
  ['cloud: arrived', ({ arrived }) => arrived],
  ['difference to what was published', ({ published, arrived }) => (published.distinct.counted ?? 0) - arrived],
];

export function balanceTable(accounts: readonly GatewayAccount[]): string[] {
  const head = ['', ...accounts.map(({ published }) => published.gateway), 'all'];
  const rows = ROWS.map(([label, of]) => {
    const counts = accounts.map(of);
    return [label, ...[...counts, counts.reduce((a, b) => a + b, 0)].map((count) => count.toLocaleString('en'))];
  });
  const width = Math.max(...ROWS.map(([label]) => label.length));
  return [head, ...rows].map(
    ([label, ...cells]) => label!.padEnd(width) + cells.map((cell) => cell.padStart(14)).join(''),
  );
}

export function imbalances(accounts: readonly GatewayAccount[]): string[] {
  return accounts.flatMap((account) => {
    const { gateway } = account.published;
    return wrongIn(account).map((problem) => `${gateway}: ${problem}`);
  });
}

function wrongIn({ published, books, arrived, counted, seen }: GatewayAccount): string[] {
  const { distinct, acknowledged, transmitted } = published;
  const wrong: string[] = [];
  const equal = (what: string, is: number, should: number) => {
    if (is !== should) wrong.push(`${what}: ${is}, not ${should}`);
  };
  /** What is sent again after a lost PUBACK comes in once more; never more often than it was sent. */
  const within = (what: string, is: number, least: number, most: number) => {
    if (is < least || (seen && is > most)) wrong.push(`${what}: ${is}, not from ${least} to ${most}`);
  };
  equal('counted', books.counted, distinct.counted ?? 0);
  equal('arrived', arrived, distinct.counted ?? 0);
  equal('told of', counted, distinct.counted ?? 0);
  equal('imbalance of the books', imbalance(books), 0);
  equal('windows made coarser', sumReasons(books.coarsened), 0);
  within('in', books.in, sum(acknowledged), sum(transmitted));
  for (const fate of REJECTED) {
    within(`rejected as ${fate}`, books.rejected[fate] ?? 0, acknowledged[fate] ?? 0, transmitted[fate] ?? 0);
  }
  const others = Object.keys(books.rejected).filter((reason) => !(REJECTED as readonly string[]).includes(reason));
  if (others.length > 0) wrong.push(`rejected as ${others.join(', ')}: nobody sent such`);
  within('held', books.held, distinct.held ?? 0, transmitted.held ?? 0);
  return wrong;
}
