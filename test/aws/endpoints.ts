/**
 * The services of AWS that the functions call, as one HTTP server that speaks their protocols as far as they are used: S3 (put, get,
 * list in pages), SQS SendMessage, EventBridge PutEvents, Publish of the IoT data plane. In memory. Any call may be made to fail.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export type Service = 's3' | 'sqs' | 'events' | 'iot';

export interface StoredObject {
  readonly body: Buffer;
  readonly metadata: Readonly<Record<string, string>>;
}

export interface SentMessage {
  readonly MessageBody: string;
  readonly MessageAttributes: Readonly<Record<string, { readonly StringValue: string }>>;
}

export interface SentEvent {
  readonly EventBusName: string;
  readonly DetailType: string;
  readonly Detail: string;
}

export interface Endpoints {
  readonly url: string;
  /** For the SDK, beside what the process has. */
  readonly env: Readonly<Record<string, string>>;
  /** Of all buckets, by `bucket/key`. */
  readonly objects: Map<string, StoredObject>;
  /** How often each key was written. */
  readonly writes: Map<string, number>;
  readonly letters: SentMessage[];
  readonly events: SentEvent[];
  /** Called before each request; true: it is refused. */
  fails: (service: Service) => boolean;
  stop(): Promise<void>;
}

const PAGE = 100;

export async function startEndpoints(publish: (topic: string, payload: Buffer) => Promise<void>): Promise<Endpoints> {
  const state = {
    objects: new Map<string, StoredObject>(),
    writes: new Map<string, number>(),
    letters: [] as SentMessage[],
    events: [] as SentEvent[],
    fails: (_: Service) => false,
  };
  const server = createServer((request, response) => {
    answer(request, response).catch((error: Error) => response.writeHead(500).end(error.message));
  });
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const body = Buffer.concat(await request.toArray());
    const url = new URL(request.url ?? '', 'http://localhost');
    const target = String(request.headers['x-amz-target'] ?? '');
    const service = serviceOf(url.pathname, target);
    // 403 is not tried again by the SDK, so that a failure is one of the function too.
    if (state.fails(service)) response.writeHead(403).end();
    else if (service === 'sqs') send(response, takeMessage(state.letters, body));
    else if (service === 'events') send(response, takeEvents(state.events, body));
    else if (service === 's3') objectCall(state, request, url, body, response);
    else {
      await publish(decodeURIComponent(url.pathname.slice('/topics/'.length)), body);
      send(response, {});
    }
  };
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return Object.assign(state, {
    url,
    env: environmentOf(url),
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}

function environmentOf(url: string): Record<string, string> {
  return {
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
    AWS_ENDPOINT_URL_S3: url,
    AWS_ENDPOINT_URL_SQS: url,
    AWS_ENDPOINT_URL_EVENTBRIDGE: url,
  };
}

function serviceOf(path: string, target: string): Service {
  if (target.startsWith('AmazonSQS.')) return 'sqs';
  if (target.startsWith('AWSEvents.')) return 'events';
  return path.startsWith('/topics/') ? 'iot' : 's3';
}

function takeMessage(letters: SentMessage[], body: Buffer): object {
  const message = JSON.parse(body.toString()) as SentMessage;
  letters.push(message);
  // The SDK compares.
  return { MessageId: `letter-${letters.length}`, MD5OfMessageBody: md5(message.MessageBody) };
}

function takeEvents(events: SentEvent[], body: Buffer): object {
  const { Entries } = JSON.parse(body.toString()) as { Entries: SentEvent[] };
  events.push(...Entries);
  return { FailedEntryCount: 0, Entries: Entries.map((_, i) => ({ EventId: `event-${events.length}-${i}` })) };
}

function objectCall(
  { objects, writes }: Pick<Endpoints, 'objects' | 'writes'>,
  request: IncomingMessage,
  url: URL,
  body: Buffer,
  response: ServerResponse,
): void {
  const name = decodeURIComponent(url.pathname.slice(1));
  if (request.method === 'PUT') {
    const metadata = Object.entries(request.headers).filter(([header]) => header.startsWith('x-amz-meta-'));
    objects.set(name, { body, metadata: Object.fromEntries(metadata) as Record<string, string> });
    writes.set(name, (writes.get(name) ?? 0) + 1);
    response.writeHead(200, { etag: `"${md5(body)}"` }).end();
  } else if (url.searchParams.get('list-type') === '2') {
    response.writeHead(200, { 'content-type': 'application/xml' }).end(listing(objects, name.replace(/\/$/, ''), url));
  } else {
    const object = objects.get(name);
    if (object === undefined) response.writeHead(404).end();
    else response.writeHead(200, { ...object.metadata, 'content-length': object.body.length }).end(object.body);
  }
}

function listing(objects: ReadonlyMap<string, StoredObject>, bucket: string, url: URL): string {
  const prefix = `${bucket}/${url.searchParams.get('prefix') ?? ''}`;
  const after = url.searchParams.get('continuation-token') ?? '';
  const keys = [...objects.keys()].filter((name) => name.startsWith(prefix) && name > after).sort();
  const page = keys.slice(0, PAGE);
  const next = keys.length > PAGE ? `<NextContinuationToken>${page.at(-1)}</NextContinuationToken>` : '';
  const contents = page.map((name) => `<Contents><Key>${name.slice(bucket.length + 1)}</Key></Contents>`).join('');
  const truncated = `<IsTruncated>${next !== ''}</IsTruncated>`;
  return `<?xml version="1.0"?><ListBucketResult>${truncated}${next}${contents}</ListBucketResult>`;
}

function send(response: ServerResponse, answer: object): void {
  response.writeHead(200, { 'content-type': 'application/x-amz-json-1.0' }).end(JSON.stringify(answer));
}

function md5(data: string | Buffer): string {
  return createHash('md5').update(data).digest('hex');
}
