/** What has to be installed before a machine can be made. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { BUSYBOX, modulesOf } from './initramfs.js';
import { QEMU } from './machine.js';
import { DEBUGFS, E2FSCK, MKE2FS } from './rig.js';

export const HINT = 'apt-get install qemu-system-x86 busybox-static e2fsprogs linux-image-cloud-amd64';

/** Debian's cloud kernel has ext4 and the serial port built in. */
const CLOUD_KERNEL = /^vmlinuz-.*-cloud-amd64$/;
const KERNEL_VARIABLE = 'TORTURE_KERNEL';

/** The newest cloud kernel; undefined where there is none. */
export function findKernel(): string | undefined {
  const given = process.env[KERNEL_VARIABLE];
  if (given) return given;
  const names = existsSync('/boot') ? readdirSync('/boot').filter((name) => CLOUD_KERNEL.test(name)) : [];
  const newest = names.sort((a, b) => a.localeCompare(b, 'en', { numeric: true })).at(-1);
  return newest === undefined ? undefined : join('/boot', newest);
}

/** What is missing, in words. */
export function missingParts(): string[] {
  const missing = [QEMU, BUSYBOX, MKE2FS, E2FSCK, DEBUGFS].filter((path) => !existsSync(path));
  const kernel = findKernel();
  if (kernel === undefined) missing.push(`a kernel (/boot/vmlinuz-*-cloud-amd64, or ${KERNEL_VARIABLE}=path)`);
  else missing.push(...[kernel, modulesOf(kernel)].filter((path) => !existsSync(path)));
  if (process.platform !== 'linux' || process.arch !== 'x64')
    missing.push('Linux on x86-64: the machine runs this node');
  return missing;
}
