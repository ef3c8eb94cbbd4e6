/**
 * The one registry of errors. Every error that a person can meet has a code, says what was wrong, and hints at what to
 * do; `retryable` tells the code around it whether waiting may help.
 */

export const ERRORS = {
  'config-invalid': { retryable: false, hint: 'Mend the lines named above; every key is described in docs/config.md.' },
  'config-unreadable': { retryable: false, hint: 'Check the path and the permissions of the file.' },
  'database-newer': {
    retryable: false,
    hint: 'This database was written by a newer Edgetally. Upgrade this program; the file was left as it is.',
  },
  'database-invalid': { retryable: false, hint: 'The file is not an Edgetally database. It was left as it is.' },
  'database-damaged': {
    retryable: true,
    hint: 'The agent sets it aside and salvages it when it opens it next; check the disk.',
  },
  'database-locked': { retryable: true, hint: 'Another process has this database open for writing. Stop it first.' },
  'window-damaged': {
    retryable: false,
    hint: 'The stored bytes of a window changed: check the disk. The row is set aside, the rest goes on.',
  },
  'block-damaged': {
    retryable: false,
    hint: 'The stored bytes of readings changed: check the disk. They are set aside, the rest goes on.',
  },
  'database-failed': { retryable: true, hint: 'Check free space and the health of the disk.' },
  'certificate-unreadable': { retryable: false, hint: 'Check the path, the permissions, and that the file is PEM.' },
  'certificate-expired': { retryable: false, hint: 'Issue a new certificate.' },
  'certificate-not-yet-valid': {
    retryable: true,
    hint: 'Check the clock of this machine (a Pi has no battery clock).',
  },
  'certificate-key-mismatch': { retryable: false, hint: 'The private key belongs to another certificate.' },
  'certificate-wrong-ca': { retryable: false, hint: 'Point `ca` at the CA that signed the broker’s certificate.' },
  'certificate-wrong-host': { retryable: false, hint: 'Connect by a name that the broker’s certificate carries.' },
  'enroll-denied': {
    retryable: true,
    hint: 'The cloud does not want this gateway: check the allow-list of the hook, the parameters in `enroll`, and the policy.',
  },
  'enroll-refused': {
    retryable: true,
    hint: 'Check `enroll.template` and `enroll.parameters` against the provisioning template.',
  },
  'enroll-throttled': { retryable: true, hint: 'Nothing to do: it is tried again, more and more rarely.' },
  'enroll-failed': { retryable: true, hint: 'Nothing to do: it is tried again, and goes on where it was.' },
  'enroll-token': { retryable: true, hint: 'Nothing to do: the next attempt asks for another certificate.' },
  'identity-locked': {
    retryable: true,
    hint: 'An agent that runs enrolls and rotates by itself: see `edgetally-agent status`. Stop it to do so by hand.',
  },
  'enroll-impossible': {
    retryable: true,
    hint: 'Set `enroll.claimCert` and `enroll.claimKey`, or `push.cert` and `push.key`.',
  },
  'listen-failed': { retryable: true, hint: 'Check that nothing else uses this port, and that this user may.' },
  'session-taken-over': {
    retryable: true,
    hint: 'Another client connects with the same client id. Give each gateway its own, then restart this one.',
  },
  'link-refused': { retryable: true, hint: 'Check that the broker is running and the address is right.' },
  'link-unauthorized': { retryable: true, hint: 'Check user, password, client certificate and the broker’s policy.' },
  'link-lost': { retryable: true, hint: 'Nothing to do: the backlog is sent when the link is back.' },
  'import-failed': {
    retryable: false,
    hint: 'Mend the file or the route, then run the same command again: it resumes.',
  },
  usage: { retryable: false, hint: 'See --help.' },
} as const satisfies Record<string, { retryable: boolean; hint: string }>;

export type ErrorCode = keyof typeof ERRORS;

export class EdgetallyError extends Error {
  override readonly name = 'EdgetallyError';
  readonly code: ErrorCode;
  readonly hint: string;
  readonly retryable: boolean;

  /** `message` says what was wrong and where; `hint` defaults to the registry's. */
  constructor(code: ErrorCode, message: string, options: { cause?: unknown; hint?: string } = {}) {
    super(message, { cause: options.cause });
    this.code = code;
    this.hint = options.hint ?? ERRORS[code].hint;
    this.retryable = ERRORS[code].retryable;
  }
}
