/**
 * What the machine boots into: this machine's node with its libraries, busybox, the modules for the disk, the compiled project, and an
 * init that runs one program. A cpio archive (newc), not compressed: unpacking costs more than loading.
 */
import { execFileSync } from 'node:child_process';
import { lstatSync, readdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { ROOT } from '../needs.js';

/** In the machine. */
export const MOUNT_DISK = '/mount-disk';
/** Linked statically. */
export const BUSYBOX = '/bin/busybox';
/** Of the kernel, in the order of loading; all else that is needed is built in. */
const MODULES = [
  'virtio/virtio_ring',
  'virtio/virtio',
  'virtio/virtio_pci_legacy_dev',
  'virtio/virtio_pci_modern_dev',
  'virtio/virtio_pci',
  'block/virtio_blk',
];
/** What the pipeline and the cloud's store import, with what those import. */
const PACKAGES = ['better-sqlite3', 'bindings', 'file-uri-to-path', 'zod', 'yaml', 'p-retry', 'is-network-error'];
const PROGRAM = 'build/test/power-cut/guest.js';
/** The sources of SQLite are 9 MB. */
const NOT_NEEDED =
  /\.(d\.[cm]?ts|map|test\.js|tsbuildinfo)$|^node_modules\/better-sqlite3\/(deps|src|build\/(?!Release\/better_sqlite3\.node))/;

const INIT = `#!${BUSYBOX} sh
${BUSYBOX} mount -t proc proc /proc
${BUSYBOX} mount -t devtmpfs dev /dev
cd /app
exec /bin/node ${PROGRAM}
`;

/** Makes the disk known and mounts it on /data. */
const MOUNT = `#!${BUSYBOX} sh
set -e
for module in ${MODULES.map((name) => basename(name)).join(' ')}; do ${BUSYBOX} insmod /modules/$module.ko; done
${BUSYBOX} mount -t ext4 /dev/vda /data
`;

const FILE = 0o100755;
const FOLDER = 0o040755;
const DEVICE = 0o020600;

/** Where the modules of a kernel are, beside its /boot. */
export function modulesOf(kernel: string): string {
  const release = basename(kernel).replace(/^vmlinuz-/, '');
  return join(dirname(kernel), '..', 'lib', 'modules', release, 'kernel', 'drivers');
}

export function writeInitramfs(path: string, kernel: string): void {
  const archive = new Cpio();
  for (const folder of ['proc', 'dev', 'data', 'tmp']) archive.add(folder, FOLDER);
  archive.add('dev/console', DEVICE, undefined, [5, 1]);
  archive.add('init', FILE, Buffer.from(INIT));
  archive.add(MOUNT_DISK.slice(1), FILE, Buffer.from(MOUNT));
  archive.add('bin/node', FILE, readFileSync(process.execPath));
  archive.add(BUSYBOX.slice(1), FILE, readFileSync(BUSYBOX));
  for (const library of libraries(process.execPath)) archive.add(library.slice(1), FILE, readFileSync(library));
  for (const name of MODULES) {
    archive.add(`modules/${basename(name)}.ko`, FILE, readFileSync(join(modulesOf(kernel), `${name}.ko`)));
  }
  archive.add('app/package.json', FILE, Buffer.from('{"type":"module"}'));
  for (const folder of ['build/agent', 'build/cloud', 'build/shared', 'build/test']) addFolder(archive, folder);
  for (const name of PACKAGES) addFolder(archive, `node_modules/${name}`);
  writeFileSync(path, archive.bytes());
}

/** All that the loader would load, the loader among it. */
function libraries(program: string): Set<string> {
  const lines = execFileSync('ldd', [program], { encoding: 'utf8' }).split('\n');
  return new Set(lines.flatMap((line) => /(\/\S+) \(0x/.exec(line)?.[1] ?? []));
}

function addFolder(archive: Cpio, folder: string): void {
  for (const name of readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })) {
    const path = `${folder}/${name}`;
    if (NOT_NEEDED.test(path) || !lstatSync(join(ROOT, path)).isFile()) continue;
    archive.add(`app/${path}`, FILE, readFileSync(realpathSync(join(ROOT, path))));
  }
}

class Cpio {
  readonly #parts: Buffer[] = [];
  readonly #folders = new Set<string>();
  #inode = 0;

  add(name: string, mode: number, content = Buffer.alloc(0), device: readonly [number, number] = [0, 0]): void {
    this.#addParents(name);
    if (mode === FOLDER) this.#folders.add(name);
    const fields = [++this.#inode, mode, 0, 0, 1, 0, content.length, 0, 0, ...device, name.length + 1, 0];
    const head = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}${name}\0`;
    this.#parts.push(padded(Buffer.from(head)), padded(content));
  }

  bytes(): Buffer {
    this.add('TRAILER!!!', 0);
    return Buffer.concat(this.#parts);
  }

  #addParents(name: string): void {
    const parts = name.split('/').slice(0, -1);
    for (let depth = 1; depth <= parts.length; depth++) {
      const folder = parts.slice(0, depth).join('/');
      if (!this.#folders.has(folder)) this.add(folder, FOLDER);
    }
  }
}

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
}
