/** What figures were measured on: one line for the head of a page. */
import { execFileSync } from 'node:child_process';
import { cpus, totalmem } from 'node:os';
import Database from 'better-sqlite3';
import { ROOT } from '../test/needs.js';

export function machine(): string {
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: ROOT, encoding: 'utf8' }).trim();
  const sqlite = new Database(':memory:').prepare('SELECT sqlite_version()').pluck().get();
  const hardware = `${cpus().length} × ${cpus()[0]!.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GB`;
  return `${hardware}; Node ${process.versions.node}, V8 ${process.versions.v8}, SQLite ${sqlite}; commit ${commit}`;
}
