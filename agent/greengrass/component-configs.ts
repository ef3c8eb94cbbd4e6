/**
 * The configurations that a nucleus gives, one after the other: takes those that are valid and new, says what is wrong with the
 * others, and leaves a copy of the one that counts in the working directory.
 */
import { renameSync, writeFileSync } from 'node:fs';
import type { Logger } from 'pino';
import { formatProblems } from '../../shared/config.js';
import type { Environment } from '../../shared/config-env.js';
import { EdgetallyError } from '../../shared/errors.js';
import type { AgentConfig } from '../config.js';
import type { ConfigSource } from '../run.js';
import { componentConfig } from './configuration.js';
import type { SessionHandlers } from './session.js';

/** As messages call it. */
const NAME = 'configuration of the component';
/** In the working directory: where `edgetally-agent status` and `check` look. */
const COPY = 'edgetally.yaml';

export class ComponentConfigs implements ConfigSource, SessionHandlers {
  /** Resolves with the first configuration; rejects with config-invalid where that is wrong. */
  readonly first: Promise<void>;
  readonly gaveUp: Promise<void>;
  readonly #env: Environment;
  readonly #log: Logger;
  #text = '';
  #config: AgentConfig | undefined;
  #settleFirst!: { resolve(): void; reject(error: EdgetallyError): void };
  #giveUp!: () => void;
  #tell: (() => void) | undefined;

  constructor(env: Environment, log: Logger) {
    this.#env = env;
    this.#log = log;
    this.first = new Promise((resolve, reject) => {
      this.#settleFirst = { resolve, reject };
    });
    this.gaveUp = new Promise((resolve) => {
      this.#giveUp = resolve;
    });
  }

  get config(): AgentConfig {
    if (this.#config === undefined) throw new Error('there is no configuration yet');
    return this.#config;
  }

  changed(): Promise<void> {
    return new Promise((resolve) => {
      this.#tell = resolve;
    });
  }

  configuration(given: unknown): void {
    const { text, parsed } = componentConfig(given, this.#env);
    if (text === this.#text) return;
    if (!parsed.ok) {
      this.#complain(complaintOf(parsed.problems));
      return;
    }
    this.#text = text;
    this.#config = parsed.value;
    this.#keep(text);
    this.#settleFirst.resolve();
    this.#tell?.();
  }

  judge(given: unknown): string | undefined {
    const { parsed } = componentConfig(given, this.#env);
    return parsed.ok ? undefined : complaintOf(parsed.problems).message;
  }

  giveUp(): void {
    this.#giveUp();
  }

  #complain(error: EdgetallyError): void {
    this.#settleFirst.reject(error);
    if (this.#config === undefined) return;
    this.#log.error({ hint: error.hint }, `${error.message}: going on with the configuration before`);
  }

  /** It may hold passwords. */
  #keep(text: string): void {
    try {
      writeFileSync(`${COPY}.new`, `${text}\n`, { mode: 0o600 });
      renameSync(`${COPY}.new`, COPY);
    } catch (error) {
      this.#log.warn({ error: (error as Error).message }, `no copy of the configuration in ${COPY}`);
    }
  }
}

function complaintOf(problems: Parameters<typeof formatProblems>[1]): EdgetallyError {
  return new EdgetallyError('config-invalid', formatProblems(NAME, problems));
}
