/**
 * Files that are there whole or not at all, also after a power cut; and that belong to whom their directory belongs, since
 * root may do by hand what the agent, which is somebody else, goes on with.
 */
import {
  chownSync,
  closeSync,
  fchownSync,
  fsyncSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';

/** Readable by its owner only. On disk when this returns. */
export function writeAtomic(path: string, content: string): void {
  const directory = dirname(path);
  const half = join(directory, `.${basename(path)}.new`);
  const bytes = Buffer.from(content);
  rmSync(half, { force: true }); // of a process that was killed; its mode may be another
  const file = openSync(half, 'wx', 0o600);
  try {
    if (process.getuid?.() === 0) {
      const { uid, gid } = statSync(directory);
      fchownSync(file, uid, gid);
    }
    for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(half, path);
  syncDirectory(directory);
}

/** Makes names that were added or taken away durable. */
export function syncDirectory(directory: string): void {
  const opened = openSync(directory, 'r');
  try {
    fsyncSync(opened);
  } finally {
    closeSync(opened);
  }
}

export function ownAsDirectory(path: string): void {
  if (process.getuid?.() !== 0) return;
  const { uid, gid } = statSync(dirname(path));
  chownSync(path, uid, gid);
}
