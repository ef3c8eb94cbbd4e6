/** A real Mosquitto for tests, on a port of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';

export const MOSQUITTO = '/usr/sbin/mosquitto';

export class Mosquitto {
  readonly port: number;
  readonly #conf: string;
  #process: ChildProcess | undefined;

  private constructor(port: number, conf: string) {
    this.port = port;
    this.#conf = conf;
  }

  /** `lines` of mosquitto.conf after its listener. */
  static async start(dir: string, lines: readonly string[] = ['allow_anonymous true']): Promise<Mosquitto> {
    await mkdir(dir, { recursive: true });
    const port = await freePort();
    const conf = join(dir, 'mosquitto.conf');
    const user = process.getuid?.() === 0 ? ['user root'] : [];
    await writeFile(conf, ['log_dest stderr', ...user, `listener ${port} 127.0.0.1`, ...lines, ''].join('\n'));
    const broker = new Mosquitto(port, conf);
    await broker.restart();
    return broker;
  }

  async restart(): Promise<void> {
    const started = spawn(MOSQUITTO, ['-c', this.#conf], { stdio: ['ignore', 'ignore', 'pipe'] });
    this.#process = started;
    let said = '';
    await new Promise<void>((resolve, reject) => {
      started.stderr.on('data', (chunk) => {
        said += String(chunk);
        if (said.includes(' running')) resolve();
      });
      started.once('exit', () => reject(new Error(`mosquitto ended: ${said}`)));
    });
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const running = this.#process;
    this.#process = undefined;
    if (running === undefined || running.exitCode !== null) return;
    const over = once(running, 'exit');
    running.kill(signal);
    await over;
  }
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
