import { test } from 'tap';
import { explainTlsError } from './tls-reasons.js';

test('a loss is explained whatever kind of code the error has', (t) => {
  const explain = (code: unknown) =>
    explainTlsError(Object.assign(new Error('why'), { code }), { address: 'broker:1' });
  t.match(explain('ECONNREFUSED'), { code: 'link-refused', message: 'broker:1: nothing listens there' });
  t.match(explain('ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED'), { code: 'link-unauthorized' });
  // CONNACK 3 is "server unavailable"
  for (const code of [3, 136, undefined, null, {}]) t.match(explain(code), { code: 'link-lost' }, `${code}`);
  t.match(explain(undefined), { message: 'broker:1: why' }, 'our own complaint');
  t.match(explainTlsError(undefined, { address: 'broker:1' }), { message: 'broker:1 closed the connection' });
  t.end();
});
