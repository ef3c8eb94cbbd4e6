/**
 * The function that AWS asks before it provisions a gateway. Answers no to whatever it does not understand; throws only where
 * the list cannot be read, which AWS takes as a no, and the gateway asks again.
 */
import { X509Certificate } from 'node:crypto';
import { z } from 'zod';
import type { ProvisioningParameters } from '../../shared/provisioning.js';
import type { Log } from '../log.js';
import { admit } from './admission.js';
import type { Serials } from './serials.js';

const parametersSchema: z.ZodType<ProvisioningParameters> = z.object({
  SerialNumber: z.string().min(1).max(256),
  GatewayName: z.string(),
});

const requestSchema = z.object({
  certificateId: z.string(),
  certificatePem: z.string(),
  clientId: z.string(),
  parameters: parametersSchema,
});

export interface HookServices {
  readonly serials: Serials;
  readonly log: Log;
  readonly now: () => number;
  /** Counters of one answer. */
  readonly count: (counts: Readonly<Record<string, number>>) => void;
}

export interface HookAnswer {
  readonly allowProvisioning: boolean;
}

export function provisioningHook({ serials, log, now, count }: HookServices): (event: unknown) => Promise<HookAnswer> {
  const refuse = (about: object, detail: string): HookAnswer => {
    log.warn(about, `no certificate: ${detail}`);
    count({ admitted: 0, refused: 1 });
    return { allowProvisioning: false };
  };
  return async (event) => {
    const parsed = requestSchema.safeParse(event);
    if (!parsed.success) {
      const issue = parsed.error.issues[0]!;
      return refuse({ refusal: 'malformed' }, `${issue.path.join('.')}: ${issue.message}`);
    }
    const { certificateId, certificatePem, clientId, parameters } = parsed.data;
    const { SerialNumber: serial, GatewayName: gateway } = parameters;
    const about = { serial, gateway, clientId, certificateId };
    const commonNames = commonNamesOf(certificatePem);
    if (commonNames === undefined) return refuse({ ...about, refusal: 'malformed' }, 'its certificate cannot be read');
    const listed = await serials.find(serial);
    const admission = admit({ serial, gateway, clientId, commonNames }, listed);
    if (!admission.admitted) return refuse({ ...about, refusal: admission.refusal }, admission.detail);
    const { by } = admission;
    const isOnlyClaim = by === 'claim' && listed?.once === true;
    if (!(await serials.note({ serial, certificate: certificateId, by, atMs: now(), isOnlyClaim }))) {
      return refuse(
        { ...about, refusal: 'claimed-already' },
        'another claim came first, or the serial number was removed',
      );
    }
    log.info({ ...about, by }, 'a certificate for a gateway');
    count({ admitted: 1, refused: 0 });
    return { allowProvisioning: true };
  };
}

/** All of them: AWS takes the first of several, and so must nobody be let in with another behind it. */
function commonNamesOf(pem: string): readonly string[] | undefined {
  try {
    const { CN } = new X509Certificate(pem).toLegacyObject().subject as { CN?: string | string[] };
    return CN === undefined ? [] : [CN].flat();
  } catch {
    return undefined;
  }
}
