/** Record ids: what a device calls one reading, or a digest of all that the record says. */
import { createHash } from 'node:crypto';
import { compileField, type FieldSource, type PathStyle, type RecordContext } from './field.js';

/** The word that stands for a digest of the record where a field is expected. */
export const CONTENT = 'content';

/**
 * The id as text, undefined where the record has none, or null where it is neither text nor a number. A number too large
 * for a double may stand for several ids, so it counts together with the observation time.
 */
export type ReadId = (context: RecordContext, timeUs: number) => string | undefined | null;

export function compileId(source: FieldSource, names: readonly string[], style: PathStyle): ReadId {
  if (source === CONTENT) return ({ record }) => digestOf(record);
  if (Array.isArray(source)) {
    const reads = source.map((each: string) => compileId(each, names, style));
    return (context, timeUs) => {
      for (const read of reads) {
        const id = read(context, timeUs);
        if (id !== undefined) return id;
      }
      return undefined;
    };
  }
  const read = compileField(source, names, style);
  return (context, timeUs) => {
    const value = read(context);
    if (value === undefined || value === null || value === '') return undefined;
    if (typeof value === 'string') return value;
    if (typeof value !== 'number' || !Number.isFinite(value)) return null;
    return Number.isInteger(value) && !Number.isSafeInteger(value) ? `${value}@${timeUs}` : String(value);
  };
}

/** 128 bits of the record’s JSON: the same record is the same id, whatever message it came in. */
function digestOf(record: unknown): string {
  return createHash('sha256').update(JSON.stringify(record)).digest('base64url').slice(0, 22);
}
