/** The totals that triggers keep of the windows are what counting them gives, whatever happens to windows. */
import { join } from 'node:path';
import Database from 'better-sqlite3';
import fc from 'fast-check';
import t from 'tap';
import { summarize } from '../../shared/summary.js';
import { emptyTally } from '../block.js';
import { emptyBooks } from '../books.js';
import { Seen } from '../seen/seen.js';
import type { WindowSave } from '../stored-window.js';
import { EdgeBuffer } from './buffer.js';
import { bufferSchema } from './options.js';

const MINUTE = 60_000;
const DEVICES = 3;
const MINUTES = 20;
const options = bufferSchema.parse({});

type Action = 'save' | 'fail' | 'attempt' | 'receipt' | 'purge' | 'coarsen' | 'reopen';
interface Step {
  readonly action: Action;
  readonly device: number;
  readonly minute: number;
}

const ACTIONS: fc.Arbitrary<Action> = fc.oneof(
  { weight: 6, arbitrary: fc.constant<Action>('save') },
  ...(['fail', 'attempt', 'receipt', 'purge', 'coarsen', 'reopen'] as const).map((action) => ({
    weight: 1,
    arbitrary: fc.constant<Action>(action),
  })),
);
const STEP: fc.Arbitrary<Step> = fc.record(
  { action: ACTIONS, device: fc.nat(DEVICES - 1), minute: fc.nat(MINUTES - 1) },
  { noNullPrototype: true },
);

class Days {
  readonly #path: string;
  buffer: EdgeBuffer;
  lastClosingMs = 0;

  constructor(path: string) {
    this.#path = path;
    this.buffer = this.#open();
  }

  #open(): EdgeBuffer {
    const buffer = new EdgeBuffer(this.#path, options);
    buffer.begin(buffer.savedBooks.books);
    for (let i = 0; i < DEVICES; i++) buffer.dictionary.device('hall', `d${i}`);
    buffer.dictionary.metric('temp');
    buffer.commit({ block: { readings: [], tally: emptyTally() }, held: [], samples: [], released: [] });
    return buffer;
  }

  do({ action, device, minute }: Step): void {
    const { buffer } = this;
    const refs = buffer.windows.backlog(Number.MAX_SAFE_INTEGER, START, 1000).map(({ ref }) => ref);
    const some = refs.filter((_, i) => i % DEVICES === device);
    if (action === 'save') this.#save(device, minute);
    else if (action === 'fail') this.#fail(device, minute);
    else if (action === 'attempt') buffer.attempted(some);
    else if (action === 'receipt')
      buffer.receipted(some.map((ref) => ({ ...ref, revision: ref.revision - (minute % 2) })));
    else if (action === 'purge') buffer.purge(minute * MINUTE, Number.MAX_SAFE_INTEGER, () => false);
    else if (action === 'coarsen') buffer.coarsen(Number.MAX_SAFE_INTEGER, () => false, emptyBooks(), 0);
    else {
      buffer.close();
      this.buffer = this.#open();
    }
  }

  #save(device: number, minute: number): void {
    const { buffer } = this;
    // as the aggregator would: where there is a window already, whatever its length, it grows
    const found = buffer.find(buffer.dictionary.device('hall', `d${device}`)!, minute * MINUTE * 1000);
    if (found !== undefined && (found.growing === undefined || found.lengthMs !== MINUTE)) return;
    const revision = (found?.growing?.revision ?? 0) + 1;
    const window = this.#windowOf(device, minute, revision, found?.growing?.part ?? buffer.session);
    buffer.save([window], emptyBooks(), undefined);
    this.lastClosingMs = Math.max(this.lastClosingMs, window.closesMs);
  }

  /** One that was saved in a transaction that fails. */
  #fail(device: number, minute: number): void {
    const broken = { ...this.#windowOf(device, minute, 99, 1), metrics: new Map([[0, undefined as never]]) };
    const windows = [this.#windowOf(device, minute, 99, 1), broken];
    t.throws(() => this.buffer.save(windows, emptyBooks(), undefined));
  }

  #windowOf(device: number, minute: number, revision: number, part: number): WindowSave {
    const startMs = minute * MINUTE;
    const readings = Array.from({ length: revision }, (_, i) => ({ timeUs: startMs * 1000 + i, value: 21.4 + i }));
    return {
      device: this.buffer.dictionary.device('hall', `d${device}`)!,
      ...{ startMs, lengthMs: MINUTE, part, revision, readings: revision, gained: 1 },
      folded: this.buffer.journal.last,
      metrics: new Map([[this.buffer.dictionary.metric('temp')!, summarize(readings)]]),
      seen: seenOf(revision),
      closesMs: startMs + MINUTE + 1000 * revision,
    };
  }
}

function seenOf(readings: number): Uint8Array {
  const seen = new Seen();
  for (let i = 0; i < readings; i++) seen.add('', i, undefined);
  return seen.encode();
}

const START = { device: 0, startMs: Number.MIN_SAFE_INTEGER, lengthMs: 0, part: 0 };

t.test('whatever happens to windows, the totals are what counting them gives', async (t) => {
  const dir = t.testdir();
  let run = 0;
  const property = fc.property(fc.array(STEP, { minLength: 5, maxLength: 60 }), (steps) => {
    const path = join(dir, `${run++}.db`);
    const days = new Days(path);
    for (const step of steps) days.do(step);
    const told = days.buffer.windows.backlogState();
    const lastClosingMs = days.buffer.windows.lastClosingMs();
    days.buffer.close();
    const db = new Database(path, { readonly: true });
    const counted = db
      .prepare(
        `SELECT count(*) AS windows, coalesce(sum(bytes), 0) AS bytes, min(start_ms) AS oldestMs FROM windows
           WHERE revision > receipted`,
      )
      .get();
    db.close();
    t.strictSame(told, counted);
    t.equal(lastClosingMs, days.lastClosingMs);
  });
  fc.assert(property, { numRuns: 60 });
});
