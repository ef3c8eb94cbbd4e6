/**
 * The next certificate, with real processes over real TLS: by hand and by itself, one that does not work, one that expired, an agent
 * that is killed on the way. Nothing is lost in any of them.
 */
import t from 'tap';
import { until } from './cloud-rig.js';
import { type EnrollGateway, EnrollRig, type Said } from './enroll-rig.js';

const DAY_MS = 86_400_000;
const rig = await EnrollRig.start(t, 1000);

/** With a certificate that is trusted. */
async function running(gateway: EnrollGateway): Promise<void> {
  await gateway.agent.start();
  await gateway.publish(1);
  await gateway.settled();
}

/** Readings come while it works: receipts are what a new certificate is trusted for. */
async function meanwhile(gateway: EnrollGateway, work: Promise<Said>): Promise<Said> {
  let over = false;
  const done = work.finally(() => {
    over = true;
  });
  for (let x = 2; !over; x++) {
    await gateway.publish(x);
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  return done;
}

t.test('by hand, while the agent runs; then the old certificate may be deactivated', async (t) => {
  const gateway = await rig.gateway(t);
  await running(gateway);
  const [first] = rig.active(gateway.name);
  const connects = (await gateway.status())!.push!.link.connects;
  t.match(await meanwhile(gateway, gateway.command('rotate')), { code: 0, out: /^Rotated: certificate/ });
  const { certificate, push, books } = await gateway.settled();
  t.match(certificate, { confirmed: 2, rolledBack: 0, problem: null });
  t.not(certificate!.certificate!.id, first!.id);
  t.equal(push!.link.connects, connects + 1, 'the trial is the uplink itself');
  t.equal(rig.cloud.core.counters.takeovers, 0, 'nobody took its session over');
  t.strictSame(
    gateway.files().filter((name) => name.endsWith('.pem')),
    ['b/cert.pem', 'b/key.pem'],
  );
  first!.status = 'inactive';
  await gateway.agent.end('SIGTERM');
  await running(gateway);
  t.equal(books.rejected && Object.keys(books.rejected).length, 0);
  await gateway.agent.end('SIGTERM');
});

t.test('by hand, while it does not run: tried at once, trusted when it runs', async (t) => {
  const gateway = await rig.gateway(t);
  t.match(await gateway.command('rotate'), { code: 1, out: /enroll first/ });
  await running(gateway);
  await gateway.agent.end('SIGTERM');
  t.match(await gateway.command('rotate'), { code: 0, out: /^Rotated: .*trusted once the first receipt/ });
  t.match(await gateway.command('rotate'), { code: 1, out: /on trial already/ });
  await running(gateway);
  t.match((await gateway.settled()).certificate, { confirmed: 2 });
  await gateway.agent.end('SIGTERM');
});

t.test('a certificate that does not work is taken back, and the readings go on', async (t) => {
  const gateway = await rig.gateway(t, { retry: '1h' });
  await running(gateway);
  const [first] = rig.active(gateway.name);
  rig.rules.spoil = (certificate) => {
    certificate.status = 'inactive';
  };
  t.match(await meanwhile(gateway, gateway.command('rotate')), { code: 1, out: /rolled back/ });
  delete rig.rules.spoil;
  const { certificate } = await gateway.settled();
  t.match(certificate, { confirmed: 1, rolledBack: 1, certificate: { id: first!.id } });
  t.match(gateway.agent.output.join('\n'), /does not work, and the one before does: rolled back/);
  await gateway.publish(100);
  await gateway.settled();
  t.match(await meanwhile(gateway, gateway.command('rotate')), { code: 0 }, 'and the next one may do');
  await gateway.agent.end('SIGTERM');
});

t.test('one that is refused: the present one stays in use', async (t) => {
  const gateway = await rig.gateway(t, { retry: '1h' });
  await running(gateway);
  rig.rules.hook = () => false;
  t.match(await gateway.command('rotate'), { code: 1, out: /hook denied/ });
  delete rig.rules.hook;
  t.match((await gateway.settled()).certificate, { confirmed: 1, rolledBack: 0, trial: null, problem: /hook denied/ });
  await gateway.agent.end('SIGTERM');
});

t.test('by itself once it is old, and then not again', async (t) => {
  const gateway = await rig.gateway(t, { maxAge: '5d' });
  rig.rules.validity = { notBefore: new Date(Date.now() - 10 * DAY_MS), notAfter: new Date(Date.now() + 90 * DAY_MS) };
  await gateway.agent.start();
  await until(() => rig.active(gateway.name).length === 1);
  delete rig.rules.validity;
  for (let x = 0; ((await gateway.status())?.certificate?.confirmed ?? 0) < 2; x++) await gateway.publish(x);
  const { certificate } = await gateway.settled();
  t.ok(certificate!.renewAtMs! > Date.now() + 4 * DAY_MS);
  t.equal(rig.active(gateway.name).length, 2);
  await gateway.agent.end('SIGTERM');
});

t.test('expired during a long outage: the claim certificate asks for another', async (t) => {
  const gateway = await rig.gateway(t);
  const notAfter = new Date(Date.now() + 12_000);
  rig.rules.validity = { notBefore: new Date(Date.now() - 60_000), notAfter };
  await gateway.agent.start();
  await until(() => rig.active(gateway.name).length === 1);
  delete rig.rules.validity;
  rig.rules.hook = () => false; // so that it is not rotated before
  await gateway.publish(1);
  await until(async () => ((await gateway.status())?.certificate?.confirmed ?? 0) > 0);
  await gateway.agent.end('SIGTERM');
  delete rig.rules.hook;
  await until(() => Date.now() > notAfter.getTime() + 1000);
  await gateway.agent.start();
  await gateway.publish(2);
  await until(async () => ((await gateway.status())?.certificate?.confirmed ?? 0) > 1);
  const { certificate } = await gateway.settled();
  t.ok(certificate!.certificate!.notAfterMs > Date.now() + DAY_MS);
  t.match(gateway.agent.output.join('\n'), /certificate.*expired/, 'said so');
  await gateway.agent.end('SIGTERM');
});

t.test('killed while it rotates: it goes on, and ends with one certificate', async (t) => {
  for (const topic of [/create-from-csr/, /provision\/json$/]) {
    const gateway = await rig.gateway(t);
    await running(gateway);
    let killed: Promise<unknown> | undefined;
    rig.rules.interrupt = async (asked) => {
      if (!topic.test(asked)) return undefined;
      delete rig.rules.interrupt;
      killed = gateway.agent.end('SIGKILL');
      await killed;
      return undefined;
    };
    t.match(await gateway.command('rotate'), { code: 1, out: /stopped meanwhile/ });
    await killed;
    await running(gateway);
    t.match(await meanwhile(gateway, gateway.command('rotate')), { code: 0 });
    const { certificate } = await gateway.settled();
    t.match(certificate, { confirmed: 2, rolledBack: 0, trial: null });
    t.equal(rig.active(gateway.name).length, 2, 'the first one, and one more');
    await gateway.agent.end('SIGTERM');
  }
});
