/** The Debian package as a file: the same bytes for the same commit, and nothing that Debian's own checker calls an error. */
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t, { type Test } from 'tap';
import { needs, ROOT } from './needs.js';

const run = promisify(execFile);
const LINTIAN = '/usr/bin/lintian';
const TOOLS = ['/usr/bin/dpkg-deb', '/usr/bin/readelf', '/usr/bin/x86_64-linux-gnu-strip'];
const hasTools = (t: Test) => TOOLS.every((path) => needs(t, path, path));
/** Of `--quick`, and of the address that whoever makes it for others sets by DEBEMAIL. */
const NOT_HERE = ['uses-no-compression-for-control-tarball', 'uses-no-compression-for-data-tarball'];

async function make(t: Test, name: string): Promise<string> {
  const out = join(t.testdirName, name);
  const env = { ...process.env, DEBEMAIL: 'edgetally@example.org', SOURCE_DATE_EPOCH: '1790000000' };
  const args = [join(ROOT, 'build/packaging/package.js'), '--quick', '--out', out];
  return (await run(process.execPath, args, { env })).stdout.trim();
}

t.test('two makings are equal to the byte', { timeout: 120_000 }, async (t) => {
  if (!hasTools(t)) return;
  t.testdir();
  const one = await make(t, 'one');
  const mask = process.umask(0o077); // as whoever makes it may have
  const other = await make(t, 'other').finally(() => process.umask(mask));
  t.ok(readFileSync(one).equals(readFileSync(other)));
  const { stdout } = await run('dpkg-deb', ['--field', one, 'Depends']);
  t.match(stdout, /^adduser, libc6 \(>= 2\.\d+\), libgcc-s1, libstdc\+\+6 \(>= \d+(\.\d+)?\)\n$/);
  if (!existsSync(LINTIAN)) return t.pass('lintian is missing', { skip: 'lintian is missing' });
  const args = ['--fail-on', 'error', '--suppress-tags', NOT_HERE.join(','), '--allow-root', one];
  const checked = await run(LINTIAN, args).catch((error: { stdout: string }) => error);
  t.notMatch(checked.stdout, /^E:/m);
});
