/**
 * A gateway's life with the Debian package, as its owner would go through it: installed on a plain system, set up, killed,
 * upgraded and downgraded while the link is down, removed, installed again, purged. Runs in a network of its own, where every port is free.
 *
 *   story.js DIRECTORY     with the files of a plain Debian in DIRECTORY/root, and packages one.deb and two.deb in DIRECTORY
 *
 * EDGETALLY_INSTALL_KILLS: how often the agent is killed.
 */
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { parse, stringify } from 'yaml';
import type { AgentStatus } from '../../agent/status.js';
import { until } from '../cloud-rig.js';
import { filesOf } from './files-of.js';
import { Machine } from './machine.js';
import { Outside, UPLINK } from './outside.js';

const KILLS = Number(process.env.EDGETALLY_INSTALL_KILLS ?? 3);
const CONFIG = '/etc/edgetally/edgetally.yaml';
const UNIT = 'edgetally-agent';
const directory = process.argv[2]!;

const machine = new Machine(join(directory, 'root'), directory);
await machine.boot();
const plain = filesOf(machine.root);
const gateway = (await machine.must('hostname')).trim();
const outside = await Outside.start(directory, gateway);
t.teardown(async () => {
  await outside.stop();
  await machine.stop();
});

const install = (name: string) => machine.must(`apt-get install -y --allow-downgrades /srv/shared/${name}.deb`);
const pid = async () => Number(await machine.must(`systemctl show -P MainPID ${UNIT}`));
const added = () => filesOf(machine.root).filter((path) => !plain.includes(path));

/** Of a gateway that answers; one that is starting does not. */
async function status(): Promise<AgentStatus | undefined> {
  const { code, stdout } = await machine.run('edgetally-agent status --json');
  const answer = code === 0 ? (JSON.parse(stdout) as AgentStatus) : undefined;
  return answer?.running ? answer : undefined;
}

async function statusWhere(is: (now: AgentStatus) => boolean): Promise<AgentStatus> {
  let now: AgentStatus | undefined;
  const about = () => JSON.stringify(now);
  await until(async () => {
    now = await status();
    return now !== undefined && is(now);
  }, about);
  return now!;
}

const isDelivered = (now: AgentStatus) => now.backlog.windows === 0 && now.openWindows === 0;

async function allArrived(t: Test): Promise<void> {
  await outside.quiet();
  const n = [...outside.told.values()].reduce((sum, tally) => sum + tally.n, 0);
  await statusWhere((now) => now.books.counted >= n && isDelivered(now));
  t.strictSame(await outside.report(), outside.told, `${n} readings, each once`);
}

t.test('installed on a plain system', async (t) => {
  const { stdout } = await machine.run('for f in node npm gcc cc make python3; do command -v $f; done');
  t.equal(stdout, '', 'no Node, nothing to build with');
  await install('one');
  t.equal(await machine.must('edgetally-agent --version'), '1.0.0\n');
  await statusWhere((now) => now.version === '1.0.0');
  t.match(await machine.must(`systemctl is-active ${UNIT}; systemctl is-enabled ${UNIT}`), 'active\nenabled\n');
  t.equal(await machine.must(`stat -c '%U:%G %a' /etc/edgetally ${CONFIG} /var/lib/edgetally`), MODES);
  t.match(await machine.must(`cat /proc/${await pid()}/status`), CONFINED, 'as its own user, and nothing more');
  t.equal(await machine.must(`systemctl show -P MemoryMax ${UNIT}`), `${300 * 1024 * 1024}\n`);
  t.equal((await machine.run(`systemd-analyze verify ${UNIT}.service`)).text, '');
  const linked = '/usr/lib/edgetally-agent/node /usr/lib/edgetally-agent/better_sqlite3.node';
  t.notMatch(await machine.must(`ldd ${linked}`), 'not found');
});

const MODES = 'root:edgetally 2750\nroot:edgetally 640\nedgetally:edgetally 750\n';
const CONFINED = /Uid:\s+([1-9]\d*)[\s\S]*CapBnd:\s+0000000000000000[\s\S]*NoNewPrivs:\s+1\n[\s\S]*Seccomp:\s+2/;

t.test('set up from what the Mosquitto carries', async (t) => {
  outside.publish();
  const files = { ca: outside.certificates.ca, ...outside.certificates.gateways.get(gateway)! };
  for (const [name, path] of Object.entries(files)) copyFileSync(path, join(directory, `${name}.pem`));
  await machine.must('cd /srv/shared; for f in ca cert key; do install -m 0640 $f.pem /etc/edgetally/$f.pem; done');
  const paths = ['ca', 'cert', 'key'].map((name) => `--${name} /etc/edgetally/${name}.pem`).join(' ');
  const said = await machine.must(`edgetally-agent setup --yes --listen 2 --uplink ${UPLINK} ${paths}`);
  t.match(said, /plant\/\{device\}: 3 devices; temperature\n[\s\S]*lets this gateway in/);
  // as its owner would with an editor: windows that are sent soon
  const config = parse(readFileSync(machine.at(CONFIG), 'utf8'));
  for (const route of config.accept.routes) Object.assign(route, { window: '1s', lateness: '1s' });
  Object.assign(config.push, { drainJitter: 0, maxBackoff: '1s', receiptTimeout: '3s' });
  writeFileSync(machine.at(CONFIG), `# changed by hand\n${stringify(config)}`);
  await outside.quiet();
  outside.told.clear(); // until now nobody listened to them but `setup`
  await machine.must(`systemctl restart ${UNIT}`);
  await statusWhere((now) => now.sources[0]?.state === 'up' && now.sources[0].name === 'mqtt');
  outside.publish();
  await statusWhere((now) => now.books.counted > 200 && now.push?.receiptAgeMs !== null);
});

t.test('killed again and again, and started again by its unit', async (t) => {
  for (let i = 0; i < KILLS; i++) {
    const before = await pid();
    await sleep(300 * (i % 8)); // not always at the same moment of its life
    await machine.must(`kill -9 ${before}`);
    await until(async () => ![0, before].includes(await pid()));
    await statusWhere((now) => now.runningMs !== null);
  }
  t.equal(await machine.must(`systemctl show -P NRestarts ${UNIT}`), `${KILLS}\n`);
  t.equal(await machine.must(`ls -A /tmp/systemd-private-*-${UNIT}.service-*/tmp`), '', 'no file but in its data');
  t.match(await status(), { writes: { commits: Number }, disk: { inMemory: false } });
  await allArrived(t);
});

t.test('one that hangs is killed by the watchdog and started again', async (t) => {
  const dropIn = `/run/systemd/system/${UNIT}.service.d`;
  await machine.must(`mkdir -p ${dropIn} && printf '[Service]\\nWatchdogSec=2\\n' >${dropIn}/soon.conf`);
  await machine.must(`systemctl daemon-reload && systemctl restart ${UNIT}`);
  await statusWhere((now) => now.runningMs !== null && now.runningMs > 3_000); // it says that it lives
  const before = await pid();
  await machine.must(`kill -STOP ${before}`);
  await until(async () => ![0, before].includes(await pid()));
  t.match(await machine.must(`journalctl --unit ${UNIT}`), 'Watchdog timeout');
  await machine.must(`rm -r ${dropIn} && systemctl daemon-reload && systemctl restart ${UNIT}`);
});

t.test('upgraded and downgraded while the link is down', async (t) => {
  await outside.linkDown();
  outside.publish();
  const before = await statusWhere((now) => now.backlog.windows >= 9);
  const config = readFileSync(machine.at(CONFIG), 'utf8');
  for (const [name, version] of [
    ['two', '2.0.0'],
    ['one', '1.0.0'],
  ] as const) {
    await install(name);
    const after = await statusWhere((now) => now.version === version && now.books.counted > before.books.counted);
    t.equal(after.epoch, before.epoch, 'the same database');
    t.ok(after.backlog.windows >= before.backlog.windows, `${after.backlog.windows} windows in the backlog`);
    t.equal(readFileSync(machine.at(CONFIG), 'utf8'), config, 'the configuration as it was changed');
  }
  await outside.linkUp();
  await allArrived(t);
});

t.test('who disabled it finds it disabled after an upgrade', async (t) => {
  await machine.must(`systemctl disable --now ${UNIT}`);
  await install('two');
  t.match(await machine.run(`systemctl is-enabled ${UNIT}; systemctl is-active ${UNIT}`), {
    stdout: 'disabled\ninactive\n',
  });
  // root looks at what it left, and leaves nothing that the agent could not write to
  t.match(await machine.must('edgetally-agent status'), 'stopped, version 2.0.0');
  t.match(await machine.run('edgetally-agent status --running'), { code: 1, text: 'no agent runs' });
  await machine.must(`systemctl enable --now ${UNIT}`);
  await machine.must('dpkg-reconfigure edgetally-agent && dpkg-reconfigure edgetally-agent');
  await statusWhere((now) => now.version === '2.0.0');
});

t.test('a configuration that is wrong is told once, and not every two seconds', async (t) => {
  await machine.must(`cp -p ${CONFIG} /run/kept.yaml && echo 'acept: {}' >>${CONFIG}`);
  await machine.run(`systemctl restart ${UNIT}`);
  await until(async () => (await machine.run(`systemctl is-failed ${UNIT}`)).stdout === 'failed\n');
  t.equal(await machine.must(`systemctl show -P ExecMainStatus ${UNIT}`), '78\n');
  t.match(await machine.must(`journalctl --unit ${UNIT} -n 20`), /acept/);
  await install('one'); // is installed all the same
  await machine.must(`mv /run/kept.yaml ${CONFIG} && systemctl restart ${UNIT}`);
  await statusWhere((now) => now.version === '1.0.0');
  await install('two');
});

t.test('removed: data and configuration stay, and it goes on from them', async (t) => {
  const { epoch } = await statusWhere(() => true);
  await outside.linkDown();
  outside.publish();
  const { backlog } = await statusWhere((now) => now.backlog.windows >= 3);
  await machine.must('apt-get remove -y edgetally-agent');
  const left = added().filter((path) => !/^\/(etc|var\/lib)\/edgetally(\/|$)/.test(path));
  t.strictSame(left, [], 'no other file');
  t.equal((await machine.run(`systemctl is-active ${UNIT}`)).stdout, 'inactive\n');
  await install('two');
  const after = await statusWhere((now) => now.backlog.windows >= backlog.windows);
  t.equal(after.epoch, epoch);
  await outside.linkUp();
  await allArrived(t);
});

t.test('purged: nothing of it is left', async (t) => {
  await machine.must('apt-get purge -y edgetally-agent');
  t.strictSame(added(), []);
  t.equal((await machine.run('getent passwd edgetally; getent group edgetally')).stdout, '');
});
