/** What some tests need from outside the project. Absent: the test skips visibly, and fails in CI, which has to install it. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';

/** The project's folder. */
export const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

/** Real data, kept beside the project and not in it. */
export const DATA = join(ROOT, '..', 'shared', 'data');

/** True where the file is there. */
export function needs(t: Test, path: string, what: string): boolean {
  if (existsSync(path)) return true;
  if (process.env.CI === 'true' && !path.startsWith(DATA)) t.fail(`${what} is missing, and CI must have it`);
  else t.pass(`${what} is missing`, { skip: `${what} is missing` });
  return false;
}
