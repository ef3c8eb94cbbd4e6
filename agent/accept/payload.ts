/**
 * From bytes to text to JSON, within limits and without a throw. Python's `NaN` and `Infinity`, which JSON does not
 * have, become infinite numbers: the metric is then rejected by itself, and the rest of the reading counts.
 */
import { isUtf8 } from 'node:buffer';
import type { Reject } from '../reading.js';
import { reject } from './rejects.js';

export interface PayloadLimits {
  readonly maxPayloadBytes: number;
  readonly maxDepth: number;
}

export type Text = { readonly ok: true; readonly text: string } | { readonly ok: false; readonly reject: Reject };
export type Json = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly reject: Reject };

const NOT_TEXT: Text = { ok: false, reject: reject('not-text', 'the payload is not UTF-8') };

export function readText(payload: Uint8Array, limits: PayloadLimits): Text {
  const size = payload.byteLength;
  if (size > limits.maxPayloadBytes) {
    const detail = `the payload has ${size} bytes, at most ${limits.maxPayloadBytes} are allowed`;
    return { ok: false, reject: reject('too-large', detail) };
  }
  const bytes = Buffer.isBuffer(payload) ? payload : Buffer.from(payload.buffer, payload.byteOffset, size);
  if (!isUtf8(bytes)) return NOT_TEXT;
  const text = bytes.toString('utf8');
  return { ok: true, text: text.charCodeAt(0) === BYTE_ORDER_MARK ? text.slice(1) : text };
}

export function readJson(text: string, limits: PayloadLimits): Json {
  if (tooDeep(text, limits.maxDepth)) {
    return { ok: false, reject: reject('too-deep', `JSON nested deeper than ${limits.maxDepth}`) };
  }
  try {
    return { ok: true, value: JSON.parse(text) as unknown };
  } catch (error) {
    return readAlmostJson(text, error as Error);
  }
}

const BYTE_ORDER_MARK = 0xfeff;

/** Linear: an unclosed string takes all the rest. */
const STRINGS_AND_NAMES = /"(?:[^"\\]|\\.)*"?|-?\b(?:NaN|Infinity)\b/gs;

function readAlmostJson(text: string, error: Error): Json {
  const plain = text.replace(/\0+$/, ''); // C strings sent with their end
  const tried = /NaN|Infinity/.test(plain)
    ? plain.replace(STRINGS_AND_NAMES, (token) => (token.startsWith('"') ? token : '1e999'))
    : plain;
  try {
    if (tried !== text) return { ok: true, value: JSON.parse(tried) as unknown };
  } catch {
    // the first error is the one to report
  }
  return { ok: false, reject: reject('not-json', plain.trim() === '' ? 'the payload is empty' : error.message) };
}

/** JSON as deep as the limit has that many openers at least; only then are its characters looked at one by one. */
function tooDeep(text: string, maxDepth: number): boolean {
  let openers = 0;
  for (let at = text.indexOf('{'); at >= 0 && openers <= maxDepth; at = text.indexOf('{', at + 1)) openers++;
  for (let at = text.indexOf('['); at >= 0 && openers <= maxDepth; at = text.indexOf('[', at + 1)) openers++;
  return openers > maxDepth && depthOf(text, maxDepth) > maxDepth;
}

const QUOTE = 34;
const BACKSLASH = 92;

/** Stops counting above `enough`. */
function depthOf(text: string, enough: number): number {
  let depth = 0;
  let deepest = 0;
  for (let at = 0; at < text.length && deepest <= enough; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) at = endOfString(text, at);
    else if (code === 123 || code === 91) deepest = Math.max(deepest, ++depth);
    else if (code === 125 || code === 93) depth--;
  }
  return deepest;
}

function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === BACKSLASH) at++;
    else if (code === QUOTE) return at;
  }
  return text.length;
}
