/**
 * Publishing by HTTPS as AWS IoT Core takes it: POST /topics/<topic>?qos=1 with a client certificate. Answers 200 when the broker
 * has it, which says nothing about what becomes of it.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { TLSSocket } from 'node:tls';
import type { Refusal } from './limits.js';

export interface HttpsPublishContext {
  readonly maxBytes: number;
  readonly mayPublish: (name: string, topic: string) => boolean;
  readonly publish: (topic: string, payload: Buffer) => Promise<void>;
  readonly refuse: (refusal: Refusal) => void;
}

/** To be handed sockets (`connection`) whose TLS is done. */
export function httpsPublish(context: HttpsPublishContext): Server {
  return createServer((request, response) => void handle(context, request, response));
}

async function handle(
  { maxBytes, mayPublish, publish, refuse }: HttpsPublishContext,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const answer = (status: number, message: string): void => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify({ message }));
  };
  const topic = topicOf(request);
  if (request.method !== 'POST' || topic === undefined) return answer(404, 'not found');
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += (chunk as Buffer).length;
    if (bytes <= maxBytes) chunks.push(chunk as Buffer);
  }
  if (bytes > maxBytes) {
    refuse('payload-too-large');
    return answer(413, 'payload too large');
  }
  if (!mayPublish(commonName(request.socket as TLSSocket), topic)) {
    refuse('publish-denied');
    return answer(403, 'Forbidden');
  }
  await publish(topic, Buffer.concat(chunks));
  answer(200, 'OK');
}

function topicOf({ url = '' }: IncomingMessage): string | undefined {
  const [, encoded] = /^\/topics\/([^/?]+)\?qos=1$/.exec(url) ?? [];
  return encoded === undefined ? undefined : decodeURIComponent(encoded);
}

function commonName(socket: TLSSocket): string {
  const subject = socket.getPeerCertificate().subject?.CN;
  return typeof subject === 'string' ? subject : '';
}
