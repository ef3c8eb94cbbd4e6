/**
 * A port of the built-in broker, plain or TLS. Hands over sockets whose client certificate (where one is asked for) has
 * been checked; says why it turned others away. Speaks no MQTT.
 */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { diagnose, hopelessProblem, pemOf } from '../../shared/certificates.js';
import { EdgetallyError } from '../../shared/errors.js';
import { explainTlsError } from '../../shared/tls-reasons.js';
import { allowsAnonymous, type BrokerSourceOptions, parseAddress } from './source-options.js';

type ListenerOptions = BrokerSourceOptions['listeners'][number];
type ListenerTls = NonNullable<ListenerOptions['tls']>;

/** A client that has arrived and not said anything yet. */
export interface Arrival {
  readonly socket: Socket;
  readonly address: string;
  readonly anonymous: boolean;
  /** Of the certificate it showed, checked against the CA. */
  readonly certificate: { readonly commonName: unknown } | undefined;
}

export interface ListenerContext {
  readonly maxConnections: number;
  readonly connectTimeout: number;
  readonly nowMs: () => number;
  arrived(arrival: Arrival): void;
  turnedAway(reason: 'full' | 'tls' | 'certificate', address: string, why: string): void;
  /** Something that does not keep the port from working. */
  warn(problem: EdgetallyError): void;
}

export interface Listener {
  readonly port: number;
  /** Takes no new connection; done when the last one is over. */
  close(): Promise<void>;
  /** Ends all connections, also those that are still in their TLS handshake. */
  hangUp(): void;
}

export async function openListener(options: ListenerOptions, context: ListenerContext): Promise<Listener> {
  const server = options.tls === undefined ? createServer() : await tlsServer(options.listen, options.tls, context);
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.maxConnections = context.maxConnections;
  server.on('drop', (from) => context.turnedAway('full', from?.remoteAddress ?? '', 'too many connections'));
  server.on(options.tls === undefined ? 'connection' : 'secureConnection', (socket: Socket | TLSSocket) => {
    socket.on('error', () => undefined); // whoever owns the socket hears of it by its close
    socket.setKeepAlive(true, 60_000);
    socket.setNoDelay(true);
    const address = `${socket.remoteAddress}:${socket.remotePort}`;
    const checked = options.tls === undefined ? {} : checkClient(socket as TLSSocket, options.tls, address);
    if (checked.refused === undefined) {
      context.arrived({ socket, address, anonymous: allowsAnonymous(options), certificate: checked.certificate });
      return;
    }
    context.turnedAway('certificate', address, checked.refused.message);
    socket.destroy();
  });
  return {
    port: await listen(server, options.listen),
    close: () => new Promise((resolve) => server.close(() => resolve())),
    hangUp: () => {
      for (const socket of sockets) socket.destroy();
    },
  };
}

async function listen(server: Server, text: string): Promise<number> {
  try {
    await once(server.listen(parseAddress(text)), 'listening');
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    const why = code === 'EADDRINUSE' ? 'something else listens there already (another broker?)' : String(code);
    throw new EdgetallyError('listen-failed', `the broker cannot listen on ${text}: ${why}`, { cause });
  }
  return (server.address() as AddressInfo).port;
}

async function tlsServer(address: string, tls: ListenerTls, context: ListenerContext): Promise<Server> {
  const own = await diagnose(tls, context.nowMs(), readFile);
  // With a wrong date it can serve; clients will say whether they mind. Anything else cannot work.
  const hopeless = hopelessProblem(own);
  if (hopeless !== undefined) throw hopeless;
  for (const doubt of own.problems) context.warn(doubt);
  const server = createTlsServer({
    ...pemOf(own),
    minVersion: 'TLSv1.2',
    handshakeTimeout: context.connectTimeout,
    requestCert: tls.clientCertificates !== 'none',
    // Node would hang up without a word to either side; checkClient does the same and says why.
    rejectUnauthorized: false,
  });
  server.on('tlsClientError', (error, socket) => {
    const from = `${socket.remoteAddress ?? address}`;
    context.turnedAway('tls', from, explainTlsError(error, { address: from, peer: 'client', ca: tls.ca }).message);
  });
  return server;
}

type Checked = { readonly refused?: EdgetallyError; readonly certificate?: { readonly commonName: unknown } };

function checkClient(socket: TLSSocket, tls: ListenerTls, address: string): Checked {
  if (tls.clientCertificates === 'none') return {};
  const shown = socket.getPeerX509Certificate();
  if (shown === undefined) {
    if (tls.clientCertificates === 'optional') return {};
    return { refused: new EdgetallyError('link-unauthorized', `the client ${address} showed no certificate`) };
  }
  if (!socket.authorized) {
    const code = String(socket.authorizationError);
    const subject = shown.subject.replaceAll('\n', ', ');
    const error = Object.assign(new Error(code), { code });
    return { refused: explainTlsError(error, { address: `${address} (${subject})`, peer: 'client', ca: tls.ca }) };
  }
  return { certificate: { commonName: socket.getPeerCertificate().subject.CN } };
}
