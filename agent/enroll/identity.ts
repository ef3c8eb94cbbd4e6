/**
 * Which certificate the uplink shows. Owns the trial: a new certificate is shown on the uplink itself, so that nobody takes its
 * session over, and trusted once a receipt came over it. Three connections in a row that brought none raise a doubt; then both
 * are shown in turns, and where the trusted one gets in, the new one is taken back. Where there is no trusted one the claim
 * certificate takes its part: where that gets in, and the new one does not right after it, another is asked for; so it is where the
 * trusted one has expired and is refused.
 *
 * Promises: there is always a way back to the last certificate that worked; a clock that is not believed expires nothing.
 */
import type { Logger } from 'pino';
import { backoffMs } from '../../shared/backoff.js';
import { EdgetallyError, type ErrorCode } from '../../shared/errors.js';
import type { MqttConnection } from '../mqtt/connection.js';
import type { Transport } from '../push/link.js';
import type { PushOptions } from '../push/options.js';
import { asking, briefly, claimClientId } from './claim.js';
import { obtain } from './obtain.js';
import type { EnrollOptions } from './options.js';
import type { CertificateFacts, KeyPair, Slot, Slots } from './slots.js';

export interface IdentityClock {
  readonly wallMs: number;
  readonly steadyMs: number;
  /** It cannot be earlier. */
  readonly earliestMs: number;
}

export interface IdentityContext {
  readonly slots: Slots;
  readonly gateway: string;
  readonly push: PushOptions;
  readonly options: EnrollOptions;
  readonly time: () => IdentityClock;
  readonly log: Logger;
}

export interface IdentityState {
  /** The one that is trusted. */
  readonly certificate: CertificateFacts | null;
  /** On trial until its first receipt. */
  readonly trial: CertificateFacts | null;
  readonly confirmedMs: number | null;
  /** Certificates that were trusted, and those that were taken back. */
  readonly confirmed: number;
  readonly rolledBack: number;
  /** Why there is no new one. */
  readonly problem: string | null;
}

const DOUBT = 3;
const DAY_MS = 86_400_000;
/** How much of `enroll.retry` a refusal of this kind costs; others are waited for as any lost connection is. */
const WAIT: Partial<Record<ErrorCode, number>> = { 'enroll-denied': 1, 'enroll-refused': 1, 'enroll-throttled': 0.1 };

export class Identity {
  readonly #context: IdentityContext;
  #shown: 'trial' | 'current' | undefined;
  #shownId: string | undefined;
  /** Connections in a row with the certificate on trial that brought no receipt. */
  #failures = 0;
  /** Connections in a row with the trusted certificate that never were up, since it has expired. */
  #refused = 0;
  /** Of a certificate on trial where there is no trusted one: whether it is to blame, and not the network. */
  #blame: 'open' | 'network-is-good' | 'certain' = 'open';
  #claimAtMs = Number.NEGATIVE_INFINITY;
  #claims = 0;
  #claimProblem: EdgetallyError | undefined;

  constructor(context: IdentityContext) {
    this.#context = context;
  }

  get state(): IdentityState {
    const { slots } = this.#context;
    return describe(slots, this.#claimProblem?.message ?? null);
  }

  /** What to show now. With no certificate at all, or none that helps, this asks for one. */
  async files(transport: Transport, signal: AbortSignal): Promise<KeyPair> {
    const { slots } = this.#context;
    const { current, trial } = slots.state;
    const trusted = slots.pair(current);
    const tried = slots.pair(trial);
    if (transport === 'https') return trusted ?? tried ?? this.#impossible();
    const shown = this.#choose(trusted !== undefined, tried !== undefined);
    if (shown === 'claim' && this.#mayClaim()) {
      if (tried === undefined || this.#blame === 'certain') return this.claim(signal);
      if (await this.#knock(signal)) this.#blame = 'network-is-good';
    }
    if (tried !== undefined && shown !== 'current') return this.#show('trial', tried, trial);
    if (trusted !== undefined) return this.#show('current', trusted, current);
    throw this.#claimProblem ?? this.#impossible();
  }

  /** Asks for a certificate with the claim certificate, whatever there is. */
  async claim(signal: AbortSignal): Promise<KeyPair> {
    const { slots, time, log, options } = this.#context;
    if (options.claimCert === undefined) this.#impossible();
    this.#shown = undefined;
    this.#blame = 'open';
    const limits = (part: number) => ({ minBackoff: options.retry * part, maxBackoff: DAY_MS });
    try {
      const slot = slots.free;
      const { id } = await this.#askByClaim(slot, signal);
      this.#failures = 0;
      this.#claimProblem = undefined;
      this.#claimAtMs = time().steadyMs + backoffMs(++this.#claims, limits(1), Math.random());
      log.info({ certificate: id }, 'enrolled by the claim certificate');
      return this.#show('trial', slots.pair(slot)!, slot);
    } catch (error) {
      if (!(error instanceof EdgetallyError)) throw error;
      const part = WAIT[error.code];
      if (part !== undefined)
        this.#claimAtMs = time().steadyMs + backoffMs(++this.#claims, limits(part), Math.random());
      this.#claimProblem = error;
      throw error;
    }
  }

  /** A new certificate is in the slot, obtained over the live link. */
  begin(): void {
    this.#failures = 0;
  }

  /** The connection with what is shown is up. */
  up(): void {
    this.#blame = 'open';
    if (this.#shown !== 'current') return;
    this.#refused = 0;
    if (this.#context.slots.state.trial !== null) this.#rollBack();
  }

  /** A receipt came over it. */
  receipt(): void {
    if (this.#shown !== 'trial') return;
    const { slots, time, log } = this.#context;
    const { current, trial, confirmed, rolledBack } = slots.state;
    slots.state = {
      v: 1,
      current: trial,
      trial: null,
      confirmedMs: time().wallMs,
      confirmed: confirmed + 1,
      rolledBack,
    };
    if (current !== null) slots.clear(current);
    this.#shown = 'current';
    this.#failures = 0;
    this.#claims = 0;
    this.#claimProblem = undefined;
    log.info({ certificate: this.#shownId }, 'the new certificate is trusted: a receipt came over it');
  }

  /** The connection is over, or never was. */
  ended(wasUp: boolean): void {
    if (this.#shown === 'trial') this.#failed(wasUp);
    if (this.#shown === 'current' && !wasUp && this.#isExpired()) this.#refused++;
  }

  #failed(wasUp: boolean): void {
    const isOnly = this.#context.slots.state.current === null;
    this.#failures = isOnly && wasUp ? 0 : this.#failures + 1; // without receipts for long, as where no sensor speaks yet
    if (this.#blame === 'network-is-good' && !wasUp) this.#blame = 'certain';
  }

  #choose(hasTrusted: boolean, hasTrial: boolean): 'trial' | 'current' | 'claim' {
    const inDoubt = this.#failures >= DOUBT;
    if (hasTrial && hasTrusted) return inDoubt && this.#shown === 'trial' ? 'current' : 'trial';
    if (hasTrial) return inDoubt ? 'claim' : 'trial';
    if (!hasTrusted) return 'claim';
    return this.#refused > 0 && this.#isExpired() ? 'claim' : 'current';
  }

  /** By what is known of the time for sure. */
  #isExpired(): boolean {
    const { slots, time } = this.#context;
    const { current } = slots.state;
    const facts = current === null ? undefined : slots.facts(current);
    return facts !== undefined && time().earliestMs > facts.notAfterMs;
  }

  #show(shown: 'trial' | 'current', pair: KeyPair, slot: Slot | null): KeyPair {
    const facts = this.#context.slots.facts(slot!)!;
    this.#shown = shown;
    if (this.#shownId === facts.id) return pair;
    this.#shownId = facts.id;
    const expires = new Date(facts.notAfterMs).toISOString();
    this.#context.log.info({ certificate: facts.id, expires, onTrial: shown === 'trial' }, 'certificate');
    return pair;
  }

  #mayClaim(): boolean {
    const { options, time } = this.#context;
    return options.claimCert !== undefined && time().steadyMs >= this.#claimAtMs;
  }

  #askByClaim(slot: Slot, signal: AbortSignal): Promise<CertificateFacts> {
    return this.#byClaim(signal, (connection) =>
      obtain(this.#context, slot, asking(connection, this.#context.options.answerTimeout)),
    );
  }

  /** Whether the claim certificate gets in. */
  #knock(signal: AbortSignal): Promise<boolean> {
    return this.#byClaim(signal, async () => true).catch(() => false);
  }

  #byClaim<T>(signal: AbortSignal, work: (connection: MqttConnection) => Promise<T>): Promise<T> {
    const { options, push, time } = this.#context;
    const pair = { cert: options.claimCert!, key: options.claimKey! };
    return briefly({ push, pair, clientId: claimClientId(), nowMs: time().earliestMs, signal }, work);
  }

  #rollBack(): void {
    const { slots, log } = this.#context;
    const { trial, ...state } = slots.state;
    slots.state = { ...state, trial: null, rolledBack: state.rolledBack + 1 };
    if (trial !== null) slots.clear(trial);
    this.#failures = 0;
    log.error(
      { certificate: this.#shownId },
      'the new certificate does not work, and the one before does: rolled back',
    );
  }

  #impossible(): never {
    throw new EdgetallyError(
      'enroll-impossible',
      'there is no certificate, and no claim certificate to ask for one with',
    );
  }
}

/** Also of an agent that does not run. */
export function describe(slots: Slots, problem: string | null): IdentityState {
  const { current, trial, confirmedMs, confirmed, rolledBack } = slots.state;
  const factsOf = (slot: Slot | null) => (slot === null ? null : (slots.facts(slot) ?? null));
  return {
    certificate: factsOf(current),
    trial: factsOf(trial),
    ...{ confirmedMs, confirmed, rolledBack, problem },
  };
}
