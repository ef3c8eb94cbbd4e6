/** Which certificate is shown, attempt after attempt; and when the next one is asked for. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { renewAtMs } from '../agent/enroll/due.js';
import { Identity } from '../agent/enroll/identity.js';
import { enrollSchema } from '../agent/enroll/options.js';
import { type Slot, Slots } from '../agent/enroll/slots.js';
import { pushSchema } from '../agent/push/options.js';
import { makeCertificates, type Validity } from '../certs.example/make-certs.js';

const DAY_MS = 86_400_000;
const VALID: Validity = { notBefore: new Date('2026-01-01'), notAfter: new Date('2027-01-01') };
const dir = t.testdir();
const old = await makeCertificates(join(dir, 'old'), { gateways: ['gw'], validity: { gateway: VALID } });
const next = await makeCertificates(join(dir, 'next'), { gateways: ['gw'], validity: { gateway: VALID } });
const { signal } = new AbortController();

interface Setup {
  readonly slots: Partial<Record<Slot, typeof old>>;
  readonly claim?: boolean;
}

function setup(t: Test, { slots: filled, claim = true }: Setup) {
  const data = mkdtempSync(join(tmpdir(), 'edgetally-identity-'));
  t.teardown(() => rmSync(data, { recursive: true, force: true }));
  const slots = new Slots(data);
  slots.make();
  for (const [slot, made] of Object.entries(filled) as [Slot, typeof old][]) {
    const { cert, key } = made.gateways.get('gw')!;
    slots.writeKey(slot, readFileSync(key, 'utf8'));
    slots.settle(slot, { certificatePem: readFileSync(cert, 'utf8'), token: '' });
  }
  const now = { ms: Date.parse('2026-06-01'), wallMs: Date.parse('2026-06-01') };
  const claims = claim ? { claimCert: '/nowhere/claim.pem', claimKey: '/nowhere/claim-key.pem' } : {};
  const identity = new Identity({
    slots,
    gateway: 'gw',
    push: pushSchema.parse({ url: 'mqtts://localhost:1' }),
    options: enrollSchema.parse({ template: 'fleet', serial: '1', ...claims }),
    time: () => ({ wallMs: now.wallMs, steadyMs: now.ms, earliestMs: now.ms }),
    log: pino({ level: 'silent' }),
  });
  /** The slot that is shown, or what is said instead; then the connection ends like that. */
  const attempt = async (wasUp: boolean, during: () => void = () => undefined): Promise<string> => {
    const shown = await identity.files('mqtt', signal).then(
      ({ cert }) => cert.split('/').at(-2)!,
      (error: Error) => error.message,
    );
    if (wasUp) identity.up();
    during();
    identity.ended(wasUp);
    return shown;
  };
  return { slots, identity, now, attempt };
}

/** Trusted in a, on trial in b. */
function onTrial(t: Test) {
  const made = setup(t, { slots: { a: old, b: next } });
  made.slots.state = { v: 1, current: 'a', trial: 'b', confirmedMs: 1, confirmed: 1, rolledBack: 0 };
  return made;
}

t.test('a receipt makes the new certificate the trusted one, and the old key goes', async (t) => {
  const { slots, identity, attempt, now } = onTrial(t);
  t.equal(await attempt(true), 'b', 'up is not enough');
  t.equal(slots.state.current, 'a');
  t.equal(await attempt(true, () => identity.receipt()), 'b');
  t.match(slots.state, { current: 'b', trial: null, confirmed: 2, rolledBack: 0, confirmedMs: now.wallMs });
  t.equal(slots.key('a'), undefined);
  t.equal(await attempt(false), 'b');
});

t.test(
  'three connections without a receipt: both in turns; where the trusted one gets in, the new one is taken back',
  async (t) => {
    const { slots, attempt } = onTrial(t);
    const shown: string[] = [];
    for (let i = 0; i < 8; i++) shown.push(await attempt(false));
    t.strictSame(shown, ['b', 'b', 'b', 'a', 'b', 'a', 'b', 'a'], 'neither: it is the network');
    t.equal(slots.state.trial, 'b', 'so both are kept');
    t.equal(await attempt(true), 'b');
    t.equal(await attempt(true), 'a');
    t.match(slots.state, { current: 'a', trial: null, rolledBack: 1 });
    t.equal(slots.key('b'), undefined);
    t.equal(await attempt(true), 'a');
  },
);

t.test('the only one goes on being shown while nothing says that it is to blame', async (t) => {
  const { slots, attempt } = setup(t, { slots: { a: old } });
  t.equal(slots.state.trial, 'a');
  for (let i = 0; i < 8; i++) t.equal(await attempt(false), 'a', 'the claim certificate does not get in either');
  for (let i = 0; i < 8; i++) t.equal(await attempt(true), 'a', 'in and out without a receipt: no sensor speaks yet');
  t.equal(slots.state.trial, 'a');
});

t.test('HTTPS shows the trusted one, and is no trial', async (t) => {
  const { slots, identity } = onTrial(t);
  for (let i = 0; i < 5; i++) t.match((await identity.files('https', signal)).cert, /\/a\/cert\.pem$/);
  t.equal((await identity.files('mqtt', signal)).cert.includes('/b/'), true);
  t.equal(slots.state.trial, 'b');
});

t.test(
  'refused and expired: the claim certificate is asked; refused and good, or a clock in doubt: it is not',
  async (t) => {
    const { slots, now, attempt } = setup(t, { slots: { a: old } });
    slots.state = { v: 1, current: 'a', trial: null, confirmedMs: 1, confirmed: 1, rolledBack: 0 };
    for (let i = 0; i < 5; i++) t.equal(await attempt(false), 'a', 'revoked, or a network that lies');
    now.ms = 0; // nothing is known of the time but that it is not before 1970, whatever the clock says
    now.wallMs = Date.parse('2030-01-01');
    for (let i = 0; i < 5; i++) t.equal(await attempt(false), 'a');
    now.ms = Date.parse('2027-01-02');
    t.equal(await attempt(true), 'a', 'the broker does not mind');
    t.equal(await attempt(false), 'a', 'shown once more');
    t.match(await attempt(false), /claim\.pem cannot be read/);
    t.equal(slots.facts('a') !== undefined, true, 'and it stays until there is a better one');
  },
);

t.test('without a claim certificate it goes on with what there is', async (t) => {
  const { slots, now, attempt } = setup(t, { slots: { a: old }, claim: false });
  slots.state = { v: 1, current: 'a', trial: null, confirmedMs: 1, confirmed: 1, rolledBack: 0 };
  now.ms = Date.parse('2027-01-02');
  for (let i = 0; i < 5; i++) t.equal(await attempt(false), 'a');
  slots.clear('a');
  t.match(await attempt(false), /no claim certificate/);
});

t.test('a state that is lost is made up of the slots', async (t) => {
  const { slots, attempt } = onTrial(t);
  rmSync(join(slots.directory, 'state.json'));
  t.match(slots.state, { v: 1 });
  t.strictSame([slots.state.current, slots.state.trial].sort(), ['a', 'b']);
  t.equal(await attempt(true), slots.state.trial);
});

t.test('a certificate of another key is none', async (t) => {
  const { slots, attempt } = setup(t, { slots: { a: old }, claim: false });
  slots.writeKey('a', readFileSync(next.gateways.get('gw')!.key, 'utf8'));
  t.match(await attempt(false), /no claim certificate/);
});

t.test('when the next one is asked for', async (t) => {
  const facts = (days: number) => ({ id: '00000000', notBeforeMs: 0, notAfterMs: days * DAY_MS });
  const at = (days: number, renewBefore: number, maxAge: number, id = '00000000') =>
    renewAtMs({ ...facts(days), id }, { renewBefore: renewBefore * DAY_MS, maxAge: maxAge * DAY_MS }) / DAY_MS;
  t.equal(at(365, 30, 0), 335);
  t.equal(at(30, 30, 0), 20, 'a third of a short life');
  t.equal(at(9_000, 30, 365), 365, 'AWS IoT issues until 2049');
  t.equal(at(9_000, 30, 0), 8_970);
  t.equal(at(365, 30, 0, '80000000'), 335 * 0.95, 'by lot, always the same for a certificate');
  t.ok(at(365, 30, 0, 'ffffffff') > 335 * 0.9);
});
