/** Reads the accounts of gateways: what is in their books, and what has left them for items of its own. */
import type { DayTally, LossRow } from '../accounts.js';
import { DAY_MS, floorTo, type Span, type Subject, type Where } from '../store.js';
import { type Account, lossesOf, mergedAccounts } from './accounts.js';
import { isWithin } from './dictionary.js';
import type { GatewayView } from './gateway-view.js';
import { gatewayPk, timeKey } from './keys.js';
import { queryAll, type Requests } from './requests.js';
import { versionedOf } from './versioned.js';
import { readFound, sourcesIn } from './window-reader.js';

export class AccountReader {
  readonly #requests: Requests;
  readonly #nowMs: number;
  /** Roll-ups of many devices ask for the same day. */
  readonly #days = new Map<string, Promise<Account[]>>();

  constructor(requests: Requests, nowMs: number) {
    this.#requests = requests;
    this.#nowMs = nowMs;
  }

  async counted(view: GatewayView, dayMs: number, where: Where): Promise<number> {
    const key = `${view.gateway}/${dayMs}`;
    let accounts = this.#days.get(key);
    if (accounts === undefined) {
      accounts = this.#read(view, { fromMs: dayMs, toMs: dayMs + 1 });
      this.#days.set(key, accounts);
    }
    let sum = 0;
    for (const { ledger } of await accounts) {
      for (const [id, [readings]] of Object.entries(ledger)) {
        if (isWithin(view.devices.subject('device', Number(id)), where)) sum += readings;
      }
    }
    return sum;
  }

  async losses(view: GatewayView, span: Span, where: Where): Promise<LossRow[]> {
    const accounts = await this.#read(view, span);
    const ofNone: Subject = { gateway: view.gateway, group: undefined, device: undefined };
    return accounts.flatMap((account) =>
      lossesOf(account)
        .map(({ kind, reason, device, count }) => ({
          subject: device < 0 ? ofNone : view.devices.subject('device', device),
          dayMs: account.dayMs,
          epoch: account.epoch,
          kind,
          reason,
          count,
        }))
        .filter(({ subject }) => isWithin(subject, where)),
    );
  }

  async *tallies(view: GatewayView, span: Span, where: Where): AsyncGenerator<readonly DayTally[]> {
    const accounts = await this.#read(view, span);
    for (const id of view.devices.idsWhere('device', where)) {
      const subject = view.devices.subject('device', id);
      const tallies = new Map<string, DayTally>();
      for (const { dayMs, epoch, ledger } of accounts) {
        const told = ledger[id];
        if (told === undefined) continue;
        tallies.set(`${dayMs}/${epoch}`, { subject, dayMs, epoch, counted: told[0], arrived: 0, toldMs: told[1] });
      }
      for (const found of await readFound(this.#requests, subject, span, this.#nowMs)) {
        for (const { startMs, epoch, readings } of sourcesIn(found)) {
          const dayMs = floorTo(startMs, DAY_MS);
          const key = `${dayMs}/${epoch}`;
          const before = tallies.get(key) ?? { subject, dayMs, epoch, counted: 0, arrived: 0, toldMs: 0 };
          tallies.set(key, { ...before, arrived: before.arrived + readings });
        }
      }
      if (tallies.size > 0) yield [...tallies.values()];
    }
  }

  /** Of days that start in the span. */
  async #read({ gateway, books }: GatewayView, { fromMs, toMs }: Span): Promise<Account[]> {
    const [from, to] = [`day#${timeKey(fromMs)}`, `day#${timeKey(toMs)}`];
    const items = await queryAll(this.#requests, gatewayPk(gateway), from, to);
    const apart = items.map((item) => versionedOf<Account>(item).value!);
    const inBooks = (books?.accounts ?? []).filter(({ dayMs }) => dayMs >= fromMs && dayMs < toMs);
    return mergedAccounts([...apart, ...inBooks]);
  }
}
