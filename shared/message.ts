/** What the small JSON messages (receipt, status) have in common: total reading, and one rule for versions. */

import { z } from 'zod';

export type DecodedMessage<T> =
  | { readonly ok: true; readonly value: T }
  | {
      readonly ok: false;
      readonly reason: 'too-large' | 'not-json' | 'newer-version' | 'invalid';
      readonly detail: string;
    };

/** No broker that we know lets more through, and IoT Core half of it. */
const MAX_MESSAGE_BYTES = 256 * 1024;

export const epochField = z.string().regex(/^[0-9a-f]{32}$/, 'expected 32 lower-case hex digits');

const versioned = z.object({ v: z.int().min(1) });

export function decodeMessage<T>(
  what: string,
  schema: z.ZodType<T>,
  version: number,
  bytes: Uint8Array,
): DecodedMessage<T> {
  if (bytes.length > MAX_MESSAGE_BYTES) {
    return { ok: false, reason: 'too-large', detail: `a ${what} of ${bytes.length} bytes, limit ${MAX_MESSAGE_BYTES}` };
  }
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return { ok: false, reason: 'not-json', detail: `a ${what} that is not JSON` };
  }
  // The version first: what is wrong with a newer message is only that it is newer.
  const head = versioned.safeParse(json);
  if (head.success && head.data.v > version) {
    const detail = `${what} format ${head.data.v}, this program reads up to ${version}: upgrade it first`;
    return { ok: false, reason: 'newer-version', detail };
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return { ok: true, value: parsed.data };
  const issue = parsed.error.issues[0];
  return { ok: false, reason: 'invalid', detail: `${what}: ${issue?.path.join('.') || 'message'}: ${issue?.message}` };
}
