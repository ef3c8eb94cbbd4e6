/**
 * What a group, device, metric or record id may be called: 1 to 256 bytes of UTF-8 (a group may also be empty) without
 * control characters. One rule for what a gateway takes in, sends, and what the cloud believes.
 */

export const MAX_NAME_BYTES = 256;

/** Control characters, and halves of characters, which UTF-8 cannot carry. */
const FORBIDDEN = /[\p{Cc}\p{Surrogate}]/u;

/** '' is no name; a group may be ''. */
export function isName(text: string): boolean {
  if (text.length === 0 || text.length > MAX_NAME_BYTES || FORBIDDEN.test(text)) return false;
  // No UTF-16 unit takes more than three bytes.
  return text.length * 3 <= MAX_NAME_BYTES || Buffer.byteLength(text) <= MAX_NAME_BYTES;
}
