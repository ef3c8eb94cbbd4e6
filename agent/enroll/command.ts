/** `edgetally-agent enroll` and `rotate`: by hand what an agent that runs does by itself. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { EdgetallyError } from '../../shared/errors.js';
import { downTopic } from '../../shared/topics.js';
import type { PushOptions } from '../push/options.js';
import { asking, briefly } from './claim.js';
import { Identity, type IdentityState } from './identity.js';
import { lockIdentity } from './lock.js';
import { obtain } from './obtain.js';
import type { EnrollOptions } from './options.js';
import { isRequested, requestRotation } from './rotation.js';
import { type KeyPair, Slots } from './slots.js';

export interface CommandContext {
  readonly gateway: string;
  readonly data: string;
  readonly push: PushOptions;
  readonly enroll: EnrollOptions;
  readonly nowMs: () => number;
  /** What the agent says that runs on this data; undefined where none does. */
  readonly running: () => Promise<IdentityState | null | undefined>;
  readonly log: Logger;
}

const ASK_AGAIN_MS = 500;
const PATIENCE_MS = 300_000;
/** IoT Core takes one CONNECT a second of a client id. */
const CONNECT_EVERY_MS = 1_200;

/** Returns what to say. `again`: also where there is a certificate. */
export async function enroll(context: CommandContext, again: boolean): Promise<string> {
  const running = await context.running();
  if (running !== undefined) {
    if (again) throw new EdgetallyError('identity-locked', 'an agent runs on this data');
    return running?.problem ?? 'The agent runs, and enrolls by itself. See edgetally-agent status.';
  }
  return alone(context, async (slots, identity) => {
    const { signal } = new AbortController();
    if (again) await identity.claim(signal);
    const before = identity.state;
    const pair = await identity.files('mqtt', signal);
    const { certificate, trial } = identity.state;
    const isNew = again || before.certificate?.id !== certificate?.id || before.trial?.id !== trial?.id;
    await tried(context, pair);
    return `${isNew ? 'Enrolled' : 'Enrolled already'}: ${sayOf(slots)}`;
  });
}

export async function rotate(context: CommandContext): Promise<string> {
  const running = await context.running();
  if (running !== undefined) return ofRunning(context, running);
  return alone(context, async (slots) => {
    const { current, trial } = slots.state;
    const present = slots.pair(current);
    if (trial !== null) throw new EdgetallyError('usage', `a new certificate is on trial already: ${sayOf(slots)}`);
    if (present === undefined)
      throw new EdgetallyError('enroll-impossible', 'there is no certificate yet: enroll first');
    const slot = slots.free;
    await at(context, present, (connection) =>
      obtain({ ...context, slots, options: context.enroll }, slot, asking(connection, context.enroll.answerTimeout)),
    );
    await sleep(CONNECT_EVERY_MS);
    try {
      await tried(context, slots.pair(slot)!);
    } catch (error) {
      slots.state = { ...slots.state, trial: null, rolledBack: slots.state.rolledBack + 1 };
      slots.clear(slot);
      throw error;
    }
    return `Rotated: ${sayOf(slots)}`;
  });
}

/** Nobody else has the certificates meanwhile. */
async function alone(
  context: CommandContext,
  work: (slots: Slots, identity: Identity) => Promise<string>,
): Promise<string> {
  const { data, gateway, push, enroll: options, nowMs, log } = context;
  const slots = new Slots(data);
  slots.make();
  const unlock = lockIdentity(slots.directory);
  const time = () => ({ wallMs: nowMs(), steadyMs: performance.now(), earliestMs: nowMs() });
  try {
    return await work(slots, new Identity({ slots, gateway, push, options, time, log }));
  } finally {
    unlock();
  }
}

async function ofRunning({ data, running }: CommandContext, before: IdentityState | null): Promise<string> {
  const { directory } = new Slots(data);
  requestRotation(directory);
  for (const endMs = performance.now() + PATIENCE_MS; performance.now() < endMs; await sleep(ASK_AGAIN_MS)) {
    if (isRequested(directory)) continue;
    const now = await running();
    if (now === undefined) throw new EdgetallyError('enroll-failed', 'the agent was stopped meanwhile');
    const problem = now?.problem ?? null;
    if (problem !== null) throw new EdgetallyError('enroll-failed', problem);
    if ((now?.confirmed ?? 0) > (before?.confirmed ?? 0)) return `Rotated: certificate ${now?.certificate?.id}`;
  }
  return 'Asked for, and not done yet: the link is down, or no receipt came over the new certificate. See edgetally-agent status.';
}

/** Connects as the gateway, and listens as it would. */
async function tried(context: CommandContext, pair: KeyPair): Promise<void> {
  await at(context, pair, async ({ client }) => {
    const granted = await client.subscribeAsync(downTopic(context.gateway, 'receipt'), { qos: 0 });
    if (granted.some(({ qos }) => qos === 128)) {
      throw new EdgetallyError('link-unauthorized', 'the broker does not let this gateway listen to its receipts');
    }
  });
}

function at<T>(
  { push, gateway, nowMs }: CommandContext,
  pair: KeyPair,
  work: Parameters<typeof briefly<T>>[1],
): Promise<T> {
  const clientId = push.clientId ?? gateway;
  const { signal } = new AbortController();
  return briefly({ push, pair, clientId, nowMs: nowMs(), signal }, work);
}

function sayOf(slots: Slots): string {
  const { current, trial } = slots.state;
  const facts = slots.facts(trial ?? current ?? 'a');
  const until = facts === undefined ? '' : `, good until ${new Date(facts.notAfterMs).toISOString()}`;
  const trust = trial === null ? '' : '; it is trusted once the first receipt comes over it';
  return `certificate ${facts?.id}${until}${trust}`;
}
