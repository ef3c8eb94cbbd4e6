import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { type AskKernel, TimeService } from './clock-evidence.js';

const silent: AskKernel = () => undefined;

t.test('who says that the clock is set', async (t) => {
  const root = t.testdir();
  const make = (path: string, text = '') => {
    mkdirSync(join(root, dirname(path)), { recursive: true });
    writeFileSync(join(root, path), text);
  };
  const says = (ask = silent) => new TimeService(root, ask).evidence(0);
  t.equal(says(), 'unknown', 'a container: nobody');
  make('run/systemd/timesync/.keep');
  t.equal(says(), 'unsynchronized', 'timesyncd runs, and has not heard from a server');
  make('sys/class/rtc/rtc0/hctosys', '0\n');
  t.equal(says(), 'unsynchronized');
  make('sys/class/rtc/rtc0/hctosys', '1\n');
  t.equal(says(), 'unknown', 'a hardware clock set it');
  make('run/systemd/timesync/synchronized');
  t.equal(says(), 'synchronized');
  rmSync(join(root, 'run/systemd'), { recursive: true });
  rmSync(join(root, 'sys'), { recursive: true });
  make('run/chrony/chronyd.pid');
  t.equal(says(), 'unsynchronized', 'chrony runs, and no answer yet');
  t.equal(
    says((done) => done('yes')),
    'synchronized',
  );
  t.equal(
    says((done) => done('no')),
    'unsynchronized',
  );
  t.equal(
    says((done) => done(undefined)),
    'unknown',
    'nobody answers',
  );
});

t.test('the kernel is asked now and then, and its last answer stands meanwhile', async (t) => {
  const root = t.testdir({ run: { 'chronyd.pid': '1' } });
  const answers = ['no', 'yes'];
  let asked = 0;
  const service = new TimeService(root, (done) => done(answers[asked++]));
  t.equal(service.evidence(0), 'unsynchronized');
  t.equal(service.evidence(9_000), 'unsynchronized');
  t.equal(asked, 1);
  t.equal(service.evidence(10_000), 'synchronized');
});
