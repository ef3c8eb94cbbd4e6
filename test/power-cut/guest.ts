/**
 * What runs in the machine: a gateway and its cloud, in the mode and from the step on that a line of standard input says, until the
 * power goes.
 * The modes that are no options of the product break it on purpose, so that the rig is seen to notice.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readSync, writeSync } from 'node:fs';
import Database from 'better-sqlite3';
import { Gateway } from './gateway.js';
import { MOUNT_DISK } from './initramfs.js';
import { MARK } from './machine.js';
import { MODES, type Mode } from './modes.js';
import { sentAgain } from './stream.js';

const RECEIPTS_EVERY = 5;

const say = (line: string) => writeSync(1, `${MARK}${line}\n`);

/** Everything is loaded by now: the machine is put to sleep here, and wakes when it is told what to do. */
function sleepUntilTold(): string[] {
  say('asleep');
  const bytes = Buffer.alloc(1000);
  for (;;) {
    const words = bytes.toString('utf8', 0, readSync(0, bytes)).trim().split(' ');
    if (words.length === 2) return words; // the serial port may wake with something else
  }
}

/** Every database is opened as better-sqlite3 would by itself, and says that it is not. */
function forgetFull(): void {
  const { pragma } = Database.prototype;
  Database.prototype.pragma = function (this: Database.Database, source: string, options?: Database.PragmaOptions) {
    if (source === 'synchronous = FULL') return pragma.call(this, 'synchronous = NORMAL', options);
    return source === 'synchronous' ? 2 : pragma.call(this, source, options);
  };
}

async function run(mode: string, from: number): Promise<void> {
  if (!MODES.some((known) => known === mode)) throw new Error(`what is ${mode}?`);
  execFileSync(MOUNT_DISK);
  if (mode === ('normal' satisfies Mode)) forgetFull();
  const data = '/data/edgetally';
  mkdirSync(data, { recursive: true });
  const gateway = new Gateway(data, mode === 'relaxed' ? 'relaxed' : 'each-commit', from, say);
  if (mode === ('ack-first' satisfies Mode)) acknowledgeFirst(gateway);
  await gateway.start();
  say('ready');
  for (let step = from; ; step++) {
    await gateway.step(step, step === from ? sentAgain(step) : []);
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

const [mode = '', from = ''] = sleepUntilTold();
await run(mode, Number(from));
