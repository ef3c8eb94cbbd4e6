/** Options of the gateway's certificate: how it gets its first one, and when the next. */
import { z } from 'zod';
import { duration } from '../../shared/config.js';

export const enrollSchema = z
  .strictObject({
    template: z
      .string()
      .regex(/^[0-9A-Za-z_-]{1,36}$/, '1 to 36 letters, digits, - and _')
      .describe('Name of the fleet provisioning template.'),
    claimCert: z
      .string()
      .optional()
      .describe('PEM file of the claim certificate. Needed for the first certificate, and where one has expired.'),
    claimKey: z.string().optional().describe('PEM file of its private key.'),
    serial: z
      .string()
      .min(1)
      .max(256)
      .describe(
        'Serial number that the cloud expects with this gateway’s name: parameter SerialNumber, beside GatewayName.',
      ),
    parameters: z
      .record(z.string().min(1), z.string())
      .default({})
      .describe('More parameters, for a template of your own.'),
    answerTimeout: duration
      .default(20_000)
      .describe('An answer that has not come by then is given up and asked for again.'),
    retry: duration
      .default(600_000)
      .describe('Wait after a refusal; twice as long after the next one, and so on up to a day, each with jitter.'),
    renewBefore: duration
      .default(30 * 86_400_000)
      .describe(
        'The next certificate is asked for this long before the present one ends, or when a third of its life is left.',
      ),
    maxAge: duration
      .default(365 * 86_400_000)
      .describe(
        'And once it is this old, however long it lives: AWS IoT issues certificates until 2049. 0: whatever its age.',
      ),
  })
  .superRefine(({ claimCert, claimKey }, context) => {
    if ((claimCert === undefined) === (claimKey === undefined)) return;
    const missing = claimCert === undefined ? 'claimCert' : 'claimKey';
    context.addIssue({ code: 'custom', path: [missing], message: 'both claimCert and claimKey, or neither' });
  });

export type EnrollOptions = z.infer<typeof enrollSchema>;
