/**
 * The Debian package on a plain Debian that boots its own systemd: `install/story.ts`. Needs root, mmdebstrap, systemd-nspawn
 * and Debian's mirror. `npm run torture:install` kills it more often.
 */
import { execFile } from 'node:child_process';
import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { makeRoot } from './install/machine.js';
import { MOSQUITTO } from './mosquitto.js';
import { needs, ROOT } from './needs.js';

const run = promisify(execFile);
const PROGRAMS = {
  mmdebstrap: '/usr/bin/mmdebstrap',
  'systemd-nspawn': '/usr/bin/systemd-nspawn',
  mosquitto: MOSQUITTO,
  ip: '/usr/sbin/ip',
  readelf: '/usr/bin/readelf',
  strip: '/usr/bin/x86_64-linux-gnu-strip',
};

const TIMEOUT_MS = process.env.EDGETALLY_INSTALL_KILLS === undefined ? 280_000 : 3_600_000;

const isRoot = process.getuid?.() === 0;
const hasAll = Object.entries(PROGRAMS).every(([name, path]) => needs(t, path, name));
if (!isRoot) t.pass('not root', { skip: 'only root can make a system and boot it' });
else if (hasAll) {
  const dir = t.testdir();
  await Promise.all([makeRoot(join(dir, 'root'), 'pi-hall'), makePackages(dir)]);
  const alone = 'ip link set lo up && exec "$0" "$@"';
  await t.spawn(
    'unshare',
    ['--net', 'sh', '-c', alone, process.execPath, join(ROOT, 'build/test/install/story.js'), dir],
    {
      timeout: TIMEOUT_MS,
      bail: true, // each chapter begins where the one before ended
    },
  );
}

/** Two versions of what is in the tree. */
async function makePackages(dir: string): Promise<void> {
  const maker = join(ROOT, 'build/packaging/package.js');
  for (const [name, version] of [
    ['one', '1.0.0'],
    ['two', '2.0.0'],
  ]) {
    const { stdout } = await run(process.execPath, [maker, '--quick', '--version', version!, '--out', dir]);
    renameSync(stdout.trim().split('\n').at(-1)!, join(dir, `${name}.deb`));
  }
}
