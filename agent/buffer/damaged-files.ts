/**
 * The files around a database that was found damaged, and the one from which its epoch is known even then.
 *
 *   edgetally.db.epoch           the epoch, written beside the database
 *   edgetally.db.damaged         there while a salvage is due or under way: under which name the database is set aside, and why
 *   edgetally.db.damaged-<time>  what was set aside, with -wal and -shm; never deleted, never written to
 *
 * Each step is one rename, so a salvage that was cut off begins again where it was.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';

const LOGS = ['-wal', '-shm'] as const;
const EPOCH = /^[0-9a-f]{32}$/;

export interface Marker {
  /** Of the file that the database is set aside as. */
  readonly name: string;
  readonly reason: string;
}

/** From now on the database is not opened before it was salvaged. `salt`: keeps two names of one instant apart. */
export function markDamaged(path: string, reason: string, nowMs: number, salt: string): void {
  if (existsSync(markerPath(path))) return;
  const time = new Date(nowMs).toISOString().replaceAll(/[-:]/g, '').replace('.', '-');
  writeDurably(markerPath(path), `${basename(path)}.damaged-${time}-${salt}\n${reason}\n`);
}

export function readMarker(path: string): Marker | undefined {
  if (!existsSync(markerPath(path))) return undefined;
  const [name = '', reason = ''] = readFileSync(markerPath(path), 'utf8').split('\n');
  const isOurs = name.startsWith(`${basename(path)}.damaged-`) && !name.includes('/');
  return { name: isOurs ? name : `${basename(path)}.damaged-unnamed`, reason };
}

/** The new database is in its place. */
export function unmark(path: string): void {
  rmSync(markerPath(path), { force: true });
  syncDirectory(path);
}

/** Moves the database out of the way, its log first; true where its place is taken by the new one already. */
export function setAside(path: string, { name }: Marker): boolean {
  const aside = join(dirname(path), name);
  if (existsSync(aside)) return existsSync(path);
  for (const log of LOGS) if (existsSync(`${path}${log}`)) renameSync(`${path}${log}`, `${aside}${log}`);
  renameSync(path, aside);
  syncDirectory(path);
  return false;
}

/** A whole database that was made under another name takes the place. */
export function putInPlace(made: string, path: string): void {
  sync(made);
  renameSync(made, path);
  syncDirectory(path);
}

/** What was set aside, with the bytes of its logs. */
export function listSetAside(path: string): { file: string; bytes: number }[] {
  const directory = dirname(path);
  if (!existsSync(directory)) return [];
  const names = readdirSync(directory).filter((name) => name.startsWith(`${basename(path)}.damaged-`));
  const mains = names.filter((name) => !LOGS.some((log) => name.endsWith(log)));
  const bytesOf = (name: string) => statSync(join(directory, name)).size;
  return mains.sort().map((file) => {
    const bytes = names.filter((name) => name.startsWith(file)).reduce((sum, name) => sum + bytesOf(name), 0);
    return { file: join(directory, file), bytes };
  });
}

/** Undefined where it is not there, or not readable. */
export function readEpoch(path: string): string | undefined {
  if (!existsSync(epochPath(path))) return undefined;
  const epoch = readFileSync(epochPath(path), 'utf8').trim();
  return EPOCH.test(epoch) ? epoch : undefined;
}

export function keepEpoch(path: string, epoch: string): void {
  if (readEpoch(path) !== epoch) writeDurably(epochPath(path), `${epoch}\n`);
}

export function isEpoch(text: unknown): text is string {
  return typeof text === 'string' && EPOCH.test(text);
}

function epochPath(path: string): string {
  return `${path}.epoch`;
}

function markerPath(path: string): string {
  return `${path}.damaged`;
}

function writeDurably(path: string, text: string): void {
  const temporary = `${path}.new`;
  const file = openSync(temporary, 'w');
  try {
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
  syncDirectory(path);
}

function syncDirectory(path: string): void {
  sync(dirname(path));
}

function sync(path: string): void {
  const file = openSync(path, 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
