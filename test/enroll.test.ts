/**
 * A gateway gets its first certificate: by the claim certificate, over real TLS, against a stand-in that speaks the topics of AWS;
 * refused in every way, killed at every step.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { chownSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { Rejection } from '../demo/provisioning.js';
import { until } from './cloud-rig.js';
import { type EnrollGateway, EnrollRig } from './enroll-rig.js';
import { startMqttEater } from './mqtt-eater.js';
import { needs } from './needs.js';

const rig = await EnrollRig.start(t);

async function isWhole(t: Test, gateway: EnrollGateway): Promise<void> {
  t.ok(await gateway.letsIn(), 'the identity works');
  const { state } = gateway.slots;
  const slot = state.trial ?? state.current!;
  const leftovers = gateway.files().filter((name) => /grant|\.new$/.test(name));
  t.strictSame(leftovers, [], 'and nothing is left of the way to it');
  const used = new X509Certificate(readFileSync(join(gateway.slots.directory, slot, 'cert.pem')));
  t.equal(used.subject, `CN=${gateway.name}`);
}

t.test('enroll by hand: a key that stays, a certificate for it; the second time there is nothing to do', async (t) => {
  const gateway = await rig.gateway(t);
  const first = await gateway.command('enroll');
  t.match(first, { code: 0, out: /^Enrolled: certificate [0-9a-f]{64}, good until .*; it is trusted once/ });
  await isWhole(t, gateway);
  const key = join(gateway.slots.directory, 'a', 'key.pem');
  t.equal(statSync(key).mode & 0o777, 0o600);
  t.equal(statSync(join(gateway.slots.directory, 'a')).mode & 0o777, 0o700);
  const [issued] = rig.active(gateway.name);
  t.ok(new X509Certificate(issued!.pem).checkPrivateKey(createPrivateKey(readFileSync(key))));
  t.match(await gateway.command('enroll'), { code: 0, out: /^Enrolled already: / });
  t.equal(rig.active(gateway.name).length, 1);
  t.match(await gateway.command('enroll', ['--again']), { code: 0, out: /^Enrolled: / });
  t.equal(rig.active(gateway.name).length, 2);
  await isWhole(t, gateway);
});

t.test('by root: what it makes belongs to whom the data belongs', { skip: process.getuid?.() !== 0 }, async (t) => {
  const gateway = await rig.gateway(t);
  mkdirSync(gateway.data);
  chownSync(gateway.data, 12345, 12345);
  t.match(await gateway.enroll(), { code: 0 });
  const owners = gateway.files().map((name) => statSync(join(gateway.slots.directory, name)).uid);
  t.ok(owners.length >= 6 && owners.every((uid) => uid === 12345), `${gateway.files()} ${owners}`);
  t.equal(statSync(gateway.slots.directory).uid, 12345);
});

t.test('run enrolls by itself, and trusts the certificate once a receipt came', async (t) => {
  const gateway = await rig.gateway(t);
  await gateway.agent.start();
  await gateway.publish(1);
  const status = await gateway.settled();
  t.match(status.certificate, { confirmed: 1, rolledBack: 0, trial: null, problem: null });
  t.equal(status.certificate!.certificate!.id, rig.active(gateway.name)[0]!.id);
  t.ok(status.certificate!.renewAtMs! < status.certificate!.certificate!.notAfterMs);
  t.match(await gateway.command('enroll'), { code: 0, out: /The agent runs/ });
  await gateway.agent.end('SIGTERM');
  await gateway.agent.start();
  await gateway.publish(2);
  await gateway.settled();
  t.equal(rig.active(gateway.name).length, 1, 'a restart changes nothing');
  const log = gateway.agent.output.join('\n');
  t.match(log, /enrolled by the claim certificate/);
  t.match(log, /"expires":"\d{4}-/);
  await gateway.agent.end('SIGTERM');
});

t.test('what is refused is said plainly', async (t) => {
  const answer = (statusCode: number, errorCode: string, errorMessage: string) => (topic: RegExp) => {
    const rejection: Rejection = { statusCode, errorCode, errorMessage };
    rig.rules.interrupt = async (asked) => (topic.test(asked) ? rejection : undefined);
  };
  const throttled = answer(429, 'ThrottlingException', 'Rate exceeded');
  const table: [string, Record<string, unknown>, () => void, RegExp][] = [
    [
      'the hook says no',
      {},
      () => {
        rig.rules.hook = ({ parameters }) => !String(parameters.SerialNumber).startsWith('serial-of-');
      },
      /AccessDenied: Pre-provisioning hook denied.*\n.*allow-list/,
    ],
    [
      'no such template',
      { template: 'other' },
      () => undefined,
      /ResourceNotFoundException: no template other\n.*enroll\.template/,
    ],
    [
      'the token is too old',
      {},
      () => (rig.rules.tokenLifeMs = 0),
      /InvalidCertificateOwnershipToken.*\n.*another certificate/,
    ],
    ['too many at once', {}, () => throttled(/create-from-csr/), /429 ThrottlingException.*\n.*more and more rarely/],
    [
      'AWS is ill',
      {},
      () => answer(500, 'InternalFailure', 'sorry')(/provision/),
      /500 InternalFailure.*\n.*goes on where it was/,
    ],
    [
      'a claim of another CA',
      { claimCert: rig.certs.server.cert, claimKey: rig.certs.server.key },
      () => undefined,
      /localhost:\d+.*(refused us|closed the connection)/,
    ],
    [
      'no claim',
      { claimCert: undefined, claimKey: undefined },
      () => undefined,
      /no claim certificate.*\n.*enroll\.claimCert/,
    ],
    [
      'no answer',
      { answerTimeout: '200ms' },
      () => (rig.rules.interrupt = () => new Promise(() => undefined)),
      /no answer within 200 ms/,
    ],
  ];
  for (const [name, enroll, given, words] of table) {
    const gateway = await rig.gateway(t, enroll);
    given();
    const said = await gateway.enroll();
    t.equal(said.code, 1, name);
    t.match(said.out, words, name);
    delete rig.rules.hook;
    delete rig.rules.interrupt;
    delete rig.rules.tokenLifeMs;
  }
});

t.test('a refusal passes: run asks again, later and later, and nothing is lost meanwhile', async (t) => {
  const gateway = await rig.gateway(t);
  const asked: number[] = [];
  rig.rules.hook = ({ parameters }) => {
    if (parameters.GatewayName === gateway.name) asked.push(performance.now());
    return asked.length > 3;
  };
  await gateway.agent.start();
  await gateway.publish(1);
  const status = await gateway.settled();
  delete rig.rules.hook;
  t.match(status.certificate, { confirmed: 1, problem: null });
  t.equal(asked.length, 4);
  t.ok(asked[1]! - asked[0]! >= 200, 'not before enroll.retry');
  await gateway.agent.end('SIGTERM');
});

t.test(
  'enrolled here and sent off: a network that is not there yet is no reason for another certificate',
  async (t) => {
    const network = await startMqttEater(rig.cloud.core.port, 'none');
    t.teardown(() => network.stop());
    const gateway = await rig.gateway(t, {}, network.port);
    t.match(await gateway.enroll(), { code: 0 });
    network.appetite = 'reset';
    await gateway.agent.start();
    await until(async () => ((await gateway.status())?.push?.link.failures ?? 0) >= 8);
    network.appetite = 'none';
    const connects = async () => (await gateway.status())?.push?.link.connects ?? 0;
    await until(async () => (await connects()) === 1);
    const before = rig.cloud.core.counters.connections;
    for (let cuts = 1; cuts <= 5; cuts++) {
      network.cut(); // no sensor speaks yet, so no receipt comes over any of these connections
      await until(async () => (await connects()) === cuts + 1);
    }
    t.equal(rig.cloud.core.counters.connections, before + 5, 'nobody asks by claim');
    await gateway.publish(1);
    t.match((await gateway.settled()).certificate, { confirmed: 1, rolledBack: 0 });
    t.equal(rig.active(gateway.name).length, 1);
    await gateway.agent.end('SIGTERM');
  },
);

t.test('a first certificate that never works is replaced, and not in a hurry', async (t) => {
  const gateway = await rig.gateway(t);
  let spoilt = 0;
  rig.rules.spoil = (certificate) => {
    if (certificate.thing === gateway.name && ++spoilt < 3) certificate.status = 'inactive';
  };
  await gateway.agent.start();
  await gateway.publish(1);
  t.match((await gateway.settled()).certificate, { confirmed: 1 });
  delete rig.rules.spoil;
  t.equal(spoilt, 3);
  t.equal(rig.active(gateway.name).length, 1);
  await gateway.agent.end('SIGTERM');
});

t.test('killed while a request is out, or after it took effect: the next run ends in one identity', async (t) => {
  for (const [step, topic] of [
    ['create', /create-from-csr/],
    ['provision', /provision\/json$/],
  ] as const) {
    const gateway = await rig.gateway(t);
    const child = gateway.begin('enroll');
    rig.rules.interrupt = async (asked) => {
      if (!topic.test(asked)) return undefined;
      delete rig.rules.interrupt;
      const over = gateway.over(child);
      child.kill('SIGKILL');
      await over;
      return undefined; // takes effect, and nobody hears the answer
    };
    t.equal((await gateway.over(child)).code, null, step);
    const said = await gateway.enroll();
    t.match(said, { code: 0 }, said.out);
    await isWhole(t, gateway);
    await gateway.agent.start();
    await gateway.publish(1);
    await gateway.settled();
    await gateway.agent.end('SIGTERM');
    t.match(await gateway.enroll(), { out: /^Enrolled already/ });
    t.equal(rig.active(gateway.name).length, 1, 'in the cloud too');
  }
});

t.test('killed before each change on the disk: the next run ends in one identity', async (t) => {
  if (!needs(t, '/usr/bin/strace', 'strace')) return;
  // what was written and not renamed is nothing yet, so an fsync is no point of its own for a process that is killed
  const calls = ['rename', 'unlink,unlinkat'];
  for (const call of calls) {
    for (let k = 1; ; k++) {
      const gateway = await rig.gateway(t);
      const strace = [
        'strace',
        '-f',
        '-qq',
        '-o',
        '/dev/null',
        '-e',
        `trace=${call}`,
        '-e',
        `inject=${call}:signal=KILL:when=${k}`,
      ];
      const killed = await gateway.command('enroll', [], strace);
      if (killed.code === 0) {
        t.ok(k > 1, `${k - 1} points at ${call}`);
        break;
      }
      const said = await gateway.enroll();
      t.equal(said.code, 0, `${call} ${k}: ${said.out}`);
      await isWhole(t, gateway);
      t.ok(rig.active(gateway.name).length === 1, `${call} ${k}: one in the cloud`);
    }
  }
});
