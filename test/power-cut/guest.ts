/**
 * What runs in the machine: `node guest.js <dir> <mode> <step>`. A gateway and its cloud, from a step on until the power goes.
 * The modes that are no options of the product break it on purpose, so that the rig is seen to notice.
 */
import { mkdirSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { Gateway } from './gateway.js';
import { MARK } from './machine.js';
import type { Mode } from './modes.js';
import { sentAgain } from './stream.js';

const RECEIPTS_EVERY = 5;

const [dir = '', mode = 'each-commit', from = '0'] = process.argv.slice(2);
const say = (line: string) => writeSync(1, `${MARK}${line}\n`);

/** Every database is opened as better-sqlite3 would by itself, and says that it is not. */
function forgetFull(): void {
  const { pragma } = Database.prototype;
  Database.prototype.pragma = function (this: Database.Database, source: string, options?: Database.PragmaOptions) {
    if (source === 'synchronous = FULL') return pragma.call(this, 'synchronous = NORMAL', options);
    return source === 'synchronous' ? 2 : pragma.call(this, source, options);
  };
}

async function run(): Promise<void> {
  if (mode === ('normal' satisfies Mode)) forgetFull();
  const data = join(dir, 'edgetally');
  mkdirSync(data, { recursive: true });
  const gateway = new Gateway(data, mode === 'relaxed' ? 'relaxed' : 'each-commit', Number(from), say);
  if (mode === ('ack-first' satisfies Mode)) acknowledgeFirst(gateway);
  await gateway.start();
  say('ready');
  for (let step = Number(from); ; step++) {
    await gateway.step(step, step === Number(from) ? sentAgain(step) : []);
    if (step % RECEIPTS_EVERY === 0) await gateway.settle();
  }
}

/** Told when it comes, committed within the interval. */
function acknowledgeFirst({ pipeline }: Gateway): void {
  const { accept } = pipeline;
  Object.assign(pipeline, {
    accept: ((message, done) => {
      done();
      accept(message, () => undefined);
    }) satisfies typeof accept,
  });
}

await run();
