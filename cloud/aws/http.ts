/**
 * Reports behind a function URL or an HTTP API (payload format 2.0). Authentication is done by AWS before a request gets here:
 * IAM signatures on a function URL, a JWT authorizer on an HTTP API. This code asks for nothing, so neither may be left open;
 * the template leaves none open. Whoever may ask may see everything.
 */
import { gzipSync } from 'node:zlib';
import { z } from 'zod';
import type { Log } from '../log.js';
import { problem, type Request, type Response, respond } from '../serve/respond.js';
import type { SnapshotStore } from '../store/store.js';
import type { LambdaHandler } from './function.js';

const event = z.object({
  version: z.literal('2.0'),
  rawPath: z.string(),
  rawQueryString: z.string().default(''),
  headers: z.record(z.string(), z.string()).default({}),
  requestContext: z.object({ http: z.object({ method: z.string() }), stage: z.string().default('$default') }),
});

export interface HttpResult {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly isBase64Encoded: boolean;
}

export interface HttpServices {
  readonly store: SnapshotStore;
  readonly log: Log;
  readonly now: () => number;
}

/** What a function may return is 6 MB, with what is around the body. */
const MAX_BODY_BYTES = 5_500_000;
const COMPRESSED_FROM = 1_000;

export function http({ store, log, now }: HttpServices): LambdaHandler<HttpResult> {
  return async (given) => {
    const parsed = event.safeParse(given);
    if (!parsed.success) return plain(problem(400, 'not a request of payload format 2.0', 'Mend the integration.'));
    const { headers } = parsed.data;
    const request = requestOf(parsed.data);
    try {
      return encode(await respond(store, request, now()), request, /\bgzip\b/.test(headers['accept-encoding'] ?? ''));
    } catch (error) {
      log.error({ err: error, path: request.path, query: request.query }, `no answer: ${String(error)}`);
      return plain(problem(500, 'the answer could not be worked out', 'Try again; the log of the function says why.'));
    }
  };
}

/** An HTTP API puts the name of its stage in front. */
function requestOf({ rawPath, rawQueryString, requestContext }: z.infer<typeof event>): Request {
  const { http, stage } = requestContext;
  const prefix = `/${stage}/`;
  const path = rawPath.startsWith(prefix) ? rawPath.slice(prefix.length - 1) : rawPath;
  return { method: http.method, path, query: rawQueryString };
}

function encode(response: Response, { method }: Request, takesGzip: boolean): HttpResult {
  if (method === 'HEAD') return plain({ ...response, body: '' });
  const isCompressed = takesGzip && response.body.length > COMPRESSED_FROM;
  const body = isCompressed ? gzipSync(response.body).toString('base64') : response.body;
  if (Buffer.byteLength(body) > MAX_BODY_BYTES) {
    const hint = 'Ask for a shorter range, fewer keys, or one gateway; or let the client take gzip.';
    return plain(problem(413, 'the answer is larger than a function may return', hint));
  }
  const result = plain({ ...response, body });
  if (!isCompressed) return result;
  return { ...result, isBase64Encoded: true, headers: { ...result.headers, 'content-encoding': 'gzip' } };
}

function plain({ status, headers, body }: Response): HttpResult {
  return { statusCode: status, headers, body, isBase64Encoded: false };
}
