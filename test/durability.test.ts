/** Where the fsyncs are: before each PUBACK, or, where durability is relaxed, before what the cloud is told and now and then. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import t, { type Test } from 'tap';
import { needs } from './needs.js';

const STRACE = '/usr/bin/strace';
const SCRIPT = fileURLToPath(new URL('./durability-script.js', import.meta.url));

/** Whether there was an fsync between the lines `begin …` and `end …`. */
async function syncedIn(t: Test, durability: string): Promise<Record<string, boolean>> {
  const log = join(t.testdir(), 'calls');
  const args = ['-qq', '-o', log, '-e', 'trace=fsync,write', process.execPath, SCRIPT, t.testdirName, durability];
  await promisify(execFile)(STRACE, args, { env: { ...process.env, NODE_OPTIONS: '' } });
  const found: Record<string, boolean> = {};
  let synced = false;
  for (const line of readFileSync(log, 'utf8').split('\n')) {
    const [, word, what] = /^write\(1, "(begin|end) ([a-z0-9 ]+)/.exec(line) ?? [];
    if (line.startsWith('fsync(')) synced = true;
    else if (word === 'begin') synced = false;
    else if (what !== undefined) found[what] = synced;
  }
  return found;
}

const always = { sending: true, 'sending nothing': true, stop: true };
const messages = (synced: boolean) => Object.fromEntries([1, 2, 3, 4, 5].map((i) => [`message ${i}`, synced]));

t.test('each-commit: an fsync before each PUBACK', async (t) => {
  if (!needs(t, STRACE, 'strace')) return;
  t.strictSame(await syncedIn(t, 'each-commit'), {
    ...messages(true),
    'look too early': false,
    'look in time': false,
    'look with nothing new': false,
    ...always,
    'sending nothing': false, // it is on disk already
  });
});

t.test('relaxed: no fsync before a PUBACK; one each interval, and before anything is sent', async (t) => {
  if (!needs(t, STRACE, 'strace')) return;
  t.strictSame(await syncedIn(t, 'relaxed'), {
    ...messages(false),
    'look too early': false,
    'look in time': true,
    'look with nothing new': false,
    ...always,
  });
});
