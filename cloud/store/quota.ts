/** The share of one gateway in the database, and what it is told when it has had it. */

/** `quota`: of this gateway nothing new is taken today; `quota-names`: only what would add names is at fault. */
export interface Refusal {
  readonly reason: 'quota' | 'quota-names';
  /** For people. */
  readonly detail: string;
}

/** Of one gateway. */
export interface Quota {
  readonly devices: number;
  /** Names of metrics that it brings in. */
  readonly metrics: number;
  /** New or changed windows, ledger entries, loss records and batches, by UTC day of arrival. */
  readonly rowsPerDay: number;
}
