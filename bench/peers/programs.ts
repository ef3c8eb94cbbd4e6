/** Programs that a reader has installed, or not. */
import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

export type Found = { readonly version: string } | { readonly missing: string };

/** Debian puts daemons where a user's PATH does not look. */
const DAEMONS = '/usr/sbin';

export function onPath(name: string): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), DAEMONS];
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

/** The first version number in what it says; it may end with an error, as `mosquitto -h` does. */
export function versionOf(file: string, args: readonly string[]): string {
  const { stdout, stderr } = spawnSync(file, args, { encoding: 'utf8', timeout: 20_000 });
  return /\d+\.\d+(\.\d+)*/.exec(`${stdout}${stderr}`)?.[0] ?? 'unknown';
}

export function found(name: string, args: readonly string[], hint: string): Found {
  const file = onPath(name);
  return file === undefined ? { missing: `no ${name} on the PATH: ${hint}` } : { version: versionOf(file, args) };
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
