/**
 * From a key to a certificate that the cloud knows: a CSR, a certificate for it, and its provisioning as the thing of this gateway.
 * Idempotent: it goes on with what a slot holds, so that a crash between any two steps costs at most a question asked twice.
 */
import { z } from 'zod';
import { EdgetallyError } from '../../shared/errors.js';
import { CREATE_FROM_CSR_TOPIC, type ProvisioningParameters, provisionTopic } from '../../shared/provisioning.js';
import type { Answer, Ask } from '../mqtt/ask.js';
import { makeCsr, makeKey } from './csr.js';
import type { EnrollOptions } from './options.js';
import type { CertificateFacts, Grant, Slot, Slots } from './slots.js';

export interface ObtainContext {
  readonly slots: Slots;
  readonly gateway: string;
  readonly options: EnrollOptions;
}

const createdSchema = z.object({ certificatePem: z.string(), certificateOwnershipToken: z.string() });
const provisionedSchema = z.object({ thingName: z.string() });
const rejectedSchema = z.object({
  statusCode: z.number().optional(),
  errorCode: z.string().default(''),
  errorMessage: z.string().default(''),
});

/** Fills a slot that nobody uses, and makes it the one to be tried. */
export async function obtain(context: ObtainContext, slot: Slot, ask: Ask): Promise<CertificateFacts> {
  const { slots } = context;
  const left = slots.grant(slot);
  const grant = left ?? (await create(context, slot, ask));
  await provision(context, slot, grant, left !== undefined, ask);
  slots.settle(slot, grant);
  return slots.facts(slot)!;
}

async function create({ slots, gateway }: ObtainContext, slot: Slot, ask: Ask): Promise<Grant> {
  if (slots.key(slot) === undefined || slots.facts(slot) !== undefined) {
    slots.clear(slot); // a key is used for one certificate
    slots.writeKey(slot, makeKey());
  }
  const certificateSigningRequest = await makeCsr(slots.key(slot)!, gateway);
  const answer = await ask(CREATE_FROM_CSR_TOPIC, JSON.stringify({ certificateSigningRequest }));
  const { certificatePem, certificateOwnershipToken: token } = accepted(createdSchema, CREATE_FROM_CSR_TOPIC, answer);
  if (slots.matching(slot, certificatePem) === undefined) {
    throw new EdgetallyError('enroll-failed', 'the cloud answered with a certificate for another key');
  }
  const grant = { certificatePem, token };
  slots.writeGrant(slot, grant);
  return grant;
}

/** `again`: the grant is of an earlier attempt, and nobody knows whether it was provisioned then. */
async function provision(
  { slots, gateway, options }: ObtainContext,
  slot: Slot,
  { token }: Grant,
  again: boolean,
  ask: Ask,
): Promise<void> {
  const topic = provisionTopic(options.template);
  const known: ProvisioningParameters = { SerialNumber: options.serial, GatewayName: gateway };
  const parameters = { ...options.parameters, ...known };
  const answer = await ask(topic, JSON.stringify({ certificateOwnershipToken: token, parameters }));
  try {
    const { thingName } = accepted(provisionedSchema, topic, answer);
    if (thingName === gateway) return;
    throw new EdgetallyError(
      'enroll-refused',
      `the template made the thing ${thingName}, and this gateway is ${gateway}`,
      {
        hint: 'Let the template name the thing as the gateway is called: its topics and policies go by that name.',
      },
    );
  } catch (error) {
    const isToken = error instanceof EdgetallyError && error.code === 'enroll-token';
    if (isToken && again) return; // it may have been good: the trial will tell
    if (isToken || !isPassing(error)) slots.forgetGrant(slot);
    throw error;
  }
}

/** With the same certificate it may go well later. */
function isPassing(error: unknown): boolean {
  return error instanceof EdgetallyError && ['enroll-failed', 'enroll-throttled'].includes(error.code);
}

function accepted<T>(schema: z.ZodType<T>, topic: string, { accepted: isAccepted, payload }: Answer): T {
  const json = parse(payload);
  if (!isAccepted) throw rejection(topic, json);
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  throw new EdgetallyError(
    'enroll-failed',
    `${topic} was answered with something else: ${z.prettifyError(parsed.error)}`,
  );
}

/** What AWS says, in our words. Its codes differ from page to page of its documentation, so the text is looked at too. */
export function rejection(topic: string, json: unknown): EdgetallyError {
  const { statusCode = 0, errorCode = '', errorMessage = '' } = rejectedSchema.safeParse(json).data ?? {};
  const said = `${topic} was refused: ${statusCode} ${errorCode}: ${errorMessage}`.replaceAll(/\p{C}+/gu, ' ');
  const words = `${errorCode} ${errorMessage}`;
  if (statusCode === 429 || /thrott|rate exceeded|too many|limit ?exceeded/i.test(words)) {
    return new EdgetallyError('enroll-throttled', said);
  }
  if (/ownership ?token/i.test(words)) return new EdgetallyError('enroll-token', said);
  if (statusCode === 401 || statusCode === 403 || /denied|forbidden|unauthori[sz]ed|hook/i.test(words)) {
    return new EdgetallyError('enroll-denied', said);
  }
  return new EdgetallyError(statusCode >= 500 ? 'enroll-failed' : 'enroll-refused', said);
}

function parse(payload: Buffer): unknown {
  try {
    return JSON.parse(payload.toString('utf8'));
  } catch {
    return undefined;
  }
}
