/** How rejections are worded: short, and with what was found. */
import type { Reject, RejectReason } from '../reading.js';

const MAX_DETAIL = 200;

export function reject(reason: RejectReason, detail: string): Reject {
  return { reason, detail: detail.length > MAX_DETAIL ? `${clip(detail, MAX_DETAIL - 1)}…` : detail };
}

/** A value as it may be shown in a message. */
export function shown(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object' && value !== null) return 'an object';
  if (typeof value !== 'string') return String(value);
  return JSON.stringify(value.length > 60 ? `${clip(value, 59)}…` : value);
}

/** Does not cut a character of two UTF-16 units in half. */
function clip(text: string, length: number): string {
  const last = text.charCodeAt(length - 1);
  return text.slice(0, last >= 0xd800 && last <= 0xdbff ? length - 1 : length);
}
