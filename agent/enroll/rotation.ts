/**
 * The next certificate, in time: asked for over the link that is up, then put on trial by connecting anew with it. One at a time; a
 * refusal is waited out; nothing is asked while the clock is not believed, unless an operator asks for it.
 */
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { backoffMs } from '../../shared/backoff.js';
import { EdgetallyError } from '../../shared/errors.js';
import type { Link } from '../push/link.js';
import { renewAtMs } from './due.js';
import type { Identity, IdentityContext } from './identity.js';
import { obtain } from './obtain.js';

/** The uplink, as far as it is needed here. */
export type RotationLink = Pick<Link, 'state' | 'ask' | 'renew'>;

export interface RotationContext extends IdentityContext {
  readonly identity: Identity;
  readonly link: RotationLink;
  /** Undefined while the clock is not believed. */
  readonly trustedMs: () => number | undefined;
}

const LOOK_MS = 1_000;
const DAY_MS = 86_400_000;

export class Rotation {
  readonly #context: RotationContext;
  readonly #request: string;
  #timer: NodeJS.Timeout | undefined;
  #busy: Promise<void> | undefined;
  #failures = 0;
  #notBeforeMs = Number.NEGATIVE_INFINITY;
  #rolledBack: number;
  #problem: string | null = null;

  constructor(context: RotationContext) {
    this.#context = context;
    this.#request = requestPath(context.slots.directory);
    this.#rolledBack = context.slots.state.rolledBack;
  }

  /** Why the last attempt failed. */
  get problem(): string | null {
    return this.#problem;
  }

  start(): void {
    this.#timer = setInterval(() => {
      this.#busy ??= this.#look().finally(() => {
        this.#busy = undefined;
      });
    }, LOOK_MS);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#busy;
  }

  async #look(): Promise<void> {
    const { slots, link, time } = this.#context;
    const { current, trial, rolledBack } = slots.state;
    if (rolledBack > this.#rolledBack) this.#failed('the last one was rolled back');
    this.#rolledBack = rolledBack;
    if (current === null || trial !== null || !isUp(link)) return;
    const isAsked = existsSync(this.#request);
    if (!isAsked && (time().steadyMs < this.#notBeforeMs || !this.#isDue())) return;
    this.#problem = null;
    rmSync(this.#request, { force: true });
    await this.#rotate();
  }

  #isDue(): boolean {
    const { slots, options, trustedMs } = this.#context;
    const { current } = slots.state;
    const facts = current === null ? undefined : slots.facts(current);
    const nowMs = trustedMs();
    return facts !== undefined && nowMs !== undefined && nowMs >= renewAtMs(facts, options);
  }

  async #rotate(): Promise<void> {
    const { slots, identity, link, options, log } = this.#context;
    try {
      const { id, notAfterMs } = await obtain(this.#context, slots.free, (topic, question) =>
        link.ask(topic, question, options.answerTimeout),
      );
      log.info({ certificate: id, expires: new Date(notAfterMs).toISOString() }, 'a new certificate: trying it');
      this.#failures = 0;
      identity.begin();
      link.renew(false);
    } catch (error) {
      const problem = error instanceof EdgetallyError ? `${error.message}. ${error.hint}` : String(error);
      log.warn({ problem }, 'no new certificate; the present one stays in use');
      this.#failed(problem);
    }
  }

  #failed(problem: string): void {
    const { options, time } = this.#context;
    const limits = { minBackoff: options.retry, maxBackoff: DAY_MS };
    this.#problem = problem;
    this.#notBeforeMs = time().steadyMs + backoffMs(++this.#failures, limits, Math.random());
  }
}

/** Asks the agent that runs on these slots for a rotation. */
export function requestRotation(directory: string): void {
  writeFileSync(requestPath(directory), '');
}

/** It has not begun yet. */
export function isRequested(directory: string): boolean {
  return existsSync(requestPath(directory));
}

function isUp({ state: { state, transport } }: RotationLink): boolean {
  return state === 'up' && transport === 'mqtt';
}

function requestPath(directory: string): string {
  return join(directory, 'rotate');
}
