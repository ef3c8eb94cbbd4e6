import { test } from 'tap';
import { explainLoss } from './tls.js';

test('a loss is explained whatever kind of code the error has', (t) => {
  const explain = (code: unknown) => explainLoss(Object.assign(new Error('why'), { code }), 'mqtts://broker:8883', []);
  t.match(explain('ECONNREFUSED'), { code: 'link-refused', message: 'broker:8883: why' });
  t.match(explain('ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED'), { code: 'link-unauthorized' });
  for (const code of [3, 136, undefined, null, {}]) t.match(explain(code), { code: 'link-lost' }, `${code}`);
  t.match(explainLoss(undefined, 'mqtts://broker', []), { code: 'link-lost', message: /closed the connection/ });
  t.end();
});
