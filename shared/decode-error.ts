/** The one way in which readers of bytes give up. The codecs catch it at their edge and make it a reason. */

/** Why bytes are refused. */
export const DECODE_FAILURES = [
  'too-large', // over a limit of the receiver
  'not-a-batch', // does not begin like one
  'newer-version', // written by a newer program: upgrade this one first
  'checksum', // changed on its way
  'corrupt', // does not follow the format
  'invalid', // follows the format and says something that cannot be
] as const;

export type DecodeFailure = (typeof DECODE_FAILURES)[number];

export class DecodeError extends Error {
  override readonly name = 'DecodeError';
  readonly kind: DecodeFailure;

  constructor(kind: DecodeFailure, message: string) {
    super(message);
    this.kind = kind;
  }
}

export function corrupt(message: string): never {
  throw new DecodeError('corrupt', message);
}

export function invalid(message: string): never {
  throw new DecodeError('invalid', message);
}
