/** Files of a package: put where they belong with the modes they shall have, whatever those of the sources are. */
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ROOT } from '../test/needs.js';

export const SOURCES = join(ROOT, 'packaging');

export function put(from: string, to: string, mode = 0o644): void {
  mkdirSync(dirname(to), { recursive: true });
  copyFileSync(from, to);
  chmodSync(to, mode);
}

export function putText(text: string | Uint8Array, to: string, mode = 0o644): void {
  mkdirSync(dirname(to), { recursive: true });
  writeFileSync(to, text);
  chmodSync(to, mode);
}

/** A directory with all that is in it; programs keep that they can be executed. */
export function putAll(from: string, to: string): void {
  mkdirSync(to, { recursive: true });
  for (const name of readdirSync(from)) execFileSync('cp', ['--preserve=mode', '--recursive', join(from, name), to]);
}

/** What files are dated in a package, s: two makings of one commit are equal to the byte. */
export function sourceDate(env: Readonly<Record<string, string | undefined>>): number {
  if (env.SOURCE_DATE_EPOCH !== undefined) return Number(env.SOURCE_DATE_EPOCH);
  return Number(execFileSync('git', ['log', '-1', '--format=%ct'], { cwd: ROOT, encoding: 'utf8' }));
}
