/**
 * What a gateway says of one UTC day out of one database of its: readings it counted, by device, and what was lost. The
 * greatest count wins, so two accounts of the same day merge into one by maximum. Pure; plain data that goes as JSON.
 */
export interface Account {
  readonly dayMs: number;
  readonly epoch: string;
  /** By device: readings, and when the count was last raised. */
  readonly ledger: Record<number, readonly [readings: number, toldMs: number]>;
  /** By kind, reason and device (-1: of no one device). */
  readonly losses: Record<string, number>;
}

export function newAccount(dayMs: number, epoch: string): Account {
  return { dayMs, epoch, ledger: {}, losses: {} };
}

/** True where the count rose. */
export function tellReadings({ ledger }: Account, device: number, readings: number, toldMs: number): boolean {
  const before = ledger[device];
  if (before !== undefined && before[0] >= readings) return false;
  ledger[device] = [readings, toldMs];
  return true;
}

/** True where the count rose. */
export function tellLoss({ losses }: Account, kind: string, reason: string, device: number, count: number): boolean {
  const key = `${kind} ${reason} ${device}`;
  if ((losses[key] ?? 0) >= count) return false;
  losses[key] = count;
  return true;
}

export interface Loss {
  readonly kind: string;
  readonly reason: string;
  /** -1: of no one device. */
  readonly device: number;
  readonly count: number;
}

export function lossesOf({ losses }: Account): Loss[] {
  return Object.entries(losses).map(([key, count]) => {
    const [kind, reason, device] = key.split(' ') as [string, string, string];
    return { kind, reason, device: Number(device), count };
  });
}

/** Of equal counts the one that was told first. */
export function mergeAccounts(one: Account, other: Account): Account {
  const merged = { ...one, ledger: { ...one.ledger }, losses: { ...one.losses } };
  for (const [device, [readings, toldMs]] of Object.entries(other.ledger)) {
    const before = merged.ledger[Number(device)];
    const isEqual = before !== undefined && before[0] === readings;
    if (isEqual) merged.ledger[Number(device)] = [readings, Math.min(before[1], toldMs)];
    else tellReadings(merged, Number(device), readings, toldMs);
  }
  for (const { kind, reason, device, count } of lossesOf(other)) tellLoss(merged, kind, reason, device, count);
  return merged;
}

/** Accounts of the same day and epoch become one. */
export function mergedAccounts(accounts: Iterable<Account>): Account[] {
  const byKey = new Map<string, Account>();
  for (const account of accounts) {
    const key = `${account.dayMs}/${account.epoch}`;
    const before = byKey.get(key);
    byKey.set(key, before === undefined ? account : mergeAccounts(before, account));
  }
  return [...byKey.values()];
}
