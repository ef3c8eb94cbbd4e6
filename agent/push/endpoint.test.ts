import t from 'tap';
import { mqttAlpn } from './endpoint.js';

t.test('MQTT on port 443 of AWS is asked for by ALPN; elsewhere only where it is configured', async (t) => {
  const table: [string, string | undefined, string | undefined][] = [
    ['mqtts://a1b2c3-ats.iot.eu-central-1.amazonaws.com:443', undefined, 'x-amzn-mqtt-ca'],
    ['mqtts://a1b2c3.iot.eu-central-1.amazonaws.com:443', undefined, 'x-amzn-mqtt-ca'],
    ['mqtts://a1b2c3-ats.iot.cn-north-1.amazonaws.com.cn:443', undefined, 'x-amzn-mqtt-ca'],
    ['mqtts://a1b2c3-ats.iot.eu-central-1.amazonaws.com:8883', undefined, undefined],
    ['mqtts://a1b2c3-ats.iot.eu-central-1.amazonaws.com', undefined, undefined],
    ['mqtts://a1b2c3-ats.iot.eu-central-1.amazonaws.com.evil.example:443', undefined, undefined],
    ['mqtts://broker.example:443', undefined, undefined],
    ['mqtts://broker.example:443', 'mqtt', 'mqtt'],
    ['mqtts://a1b2c3-ats.iot.eu-central-1.amazonaws.com:443', 'mqtt', 'mqtt'],
  ];
  for (const [url, alpn, asked] of table) t.equal(mqttAlpn({ url, alpn }), asked, `${url} ${alpn ?? ''}`);
});
