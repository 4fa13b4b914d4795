/**
 * Files named by their SHA-256: fetched once, checked always, kept across visits.
 *
 * A download goes to `<sha256>.part` in the origin's private file system and to memory at
 * the same time; a broken one continues where it stopped (Range). Only bytes whose SHA-256
 * is right are renamed to `<sha256>`, and a kept file is hashed again each time it is read,
 * since a disk, a crash or another program may have changed it. Where nothing can be kept
 * (private window, full disk) everything works from memory.
 */

export interface WantedFile {
  sha256: string;
  /** Bytes. */
  size: number;
  /** For messages. */
  path: string;
}

/** The server's own copy is wrong: fetching again would give the same bytes. */
export class DamagedFile extends Error {
  override name = "DamagedFile";
}

/** The network gave up on us; what arrived so far is kept. */
export class DownloadFailed extends Error {
  override name = "DownloadFailed";
}

/** A connection that breaks is tried again at once this often; then the node waits longer. */
const ATTEMPTS = 3;
const FOLDER = "weights";

export class Storage {
  /** Bytes that came over the network since the start; tests and the status read it. */
  downloaded = 0;

  private constructor(private readonly folder: FileSystemDirectoryHandle | null) {}

  static async open(): Promise<Storage> {
    try {
      const root = await navigator.storage.getDirectory();
      return new Storage(await root.getDirectoryHandle(FOLDER, { create: true }));
    } catch {
      return new Storage(null);
    }
  }

  get persistent(): boolean {
    return this.folder !== null;
  }

  /** Bytes of these that are not kept, by their names and sizes alone: reading them tells more. */
  async missing(wanted: WantedFile[]): Promise<number> {
    const sizes = await Promise.all(wanted.map(async ({ sha256, size }) => {
      const kept = await this.folder?.getFileHandle(sha256).then((handle) => handle.getFile()).catch(() => null);
      return kept?.size === size ? 0 : size;
    }));
    return sizes.reduce((sum, size) => sum + size, 0);
  }

  /** The file's bytes, verified. `progress` hears how many bytes are there, in rising order. */
  async file(
    wanted: WantedFile,
    progress: (bytes: number) => void,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const kept = await this.readKept(wanted);
    if (kept) {
      progress(wanted.size);
      return kept;
    }
    const part = await Part.open(this.folder, wanted);
    try {
      await this.download(wanted, part, progress);
      await part.commit();
      return part.bytes;
    } finally {
      part.close();
    }
  }

  /** Every file, four at a time; `progress` hears the sum. */
  async files(
    wanted: WantedFile[],
    progress: (done: number, total: number) => void,
  ): Promise<Uint8Array<ArrayBuffer>[]> {
    const total = wanted.reduce((sum, file) => sum + file.size, 0);
    const done = wanted.map(() => 0);
    const result: Uint8Array<ArrayBuffer>[] = [];
    const queue = wanted.map((file, index) => ({ file, index }));
    const lane = async () => {
      for (let next = queue.shift(); next; next = queue.shift()) {
        const { file, index } = next;
        result[index] = await this.file(file, (bytes) => {
          done[index] = bytes;
          progress(
            done.reduce((sum, count) => sum + count, 0),
            total,
          );
        });
      }
    };
    await Promise.all([lane(), lane(), lane(), lane()]);
    return result;
  }

  private async readKept(wanted: WantedFile): Promise<Uint8Array<ArrayBuffer> | null> {
    if (!this.folder) return null;
    try {
      const handle = await this.folder.getFileHandle(wanted.sha256);
      const bytes = new Uint8Array(await (await handle.getFile()).arrayBuffer());
      if ((await sha256(bytes)) === wanted.sha256) return bytes;
      await this.folder.removeEntry(wanted.sha256);
    } catch {
      // Not there, or not readable: fetch it.
    }
    return null;
  }

  private async download(
    wanted: WantedFile,
    part: Part,
    progress: (bytes: number) => void,
  ): Promise<void> {
    const resumed = part.length > 0;
    await this.fill(wanted, part, progress);
    if ((await sha256(part.bytes)) === wanted.sha256) return;
    part.restart();
    // What lay here from an earlier visit may have been the wrong part; a whole one is not.
    if (!resumed) throw damaged(wanted);
    await this.fill(wanted, part, progress);
    if ((await sha256(part.bytes)) === wanted.sha256) return;
    part.restart();
    throw damaged(wanted);
  }

  private async fill(
    wanted: WantedFile,
    part: Part,
    progress: (bytes: number) => void,
  ): Promise<void> {
    for (let attempt = 1; part.length < wanted.size; attempt++) {
      try {
        await this.receive(wanted, part, progress);
      } catch (error) {
        if (error instanceof DamagedFile || attempt >= ATTEMPTS)
          throw error instanceof TypeError ? new DownloadFailed(error.message) : error;
      }
    }
  }

  private async receive(
    wanted: WantedFile,
    part: Part,
    progress: (bytes: number) => void,
  ): Promise<void> {
    const headers = part.length ? { Range: `bytes=${part.length}-` } : undefined;
    // Our own store holds it; a second copy in the HTTP cache would double the owner's disk.
    const answer = await fetch(`/weights/${wanted.sha256}`, { headers, cache: "no-store" });
    if (!answer.ok || !answer.body)
      throw new DownloadFailed(`${wanted.path}: the server answered ${answer.status}`);
    if (answer.status !== 206) part.restart();
    for await (const chunk of answer.body) {
      if (part.length + chunk.length > wanted.size) {
        part.restart();
        throw damaged(wanted);
      }
      part.append(chunk);
      this.downloaded += chunk.length;
      progress(part.length);
    }
    if (part.length < wanted.size) throw new DownloadFailed(`${wanted.path}: the transfer broke off`);
  }
}

/** A file on its way: in memory, and on disk as far as the disk takes it. */
class Part {
  readonly bytes: Uint8Array<ArrayBuffer>;
  length = 0;

  private constructor(
    private readonly folder: FileSystemDirectoryHandle | null,
    private readonly wanted: WantedFile,
    private disk: FileSystemSyncAccessHandle | null,
  ) {
    this.bytes = new Uint8Array(wanted.size);
    if (disk) this.length = disk.read(this.bytes, { at: 0 });
  }

  static async open(folder: FileSystemDirectoryHandle | null, wanted: WantedFile): Promise<Part> {
    try {
      const handle = await folder?.getFileHandle(`${wanted.sha256}.part`, { create: true });
      return new Part(folder, wanted, (await handle?.createSyncAccessHandle()) ?? null);
    } catch {
      // Another tab writes it, or the disk is full: this one does without.
      return new Part(folder, wanted, null);
    }
  }

  append(chunk: Uint8Array): void {
    this.bytes.set(chunk, this.length);
    try {
      this.disk?.write(chunk, { at: this.length });
    } catch {
      this.close(); // Quota: go on in memory. The short part is of use to a later visit.
    }
    this.length += chunk.length;
  }

  restart(): void {
    this.length = 0;
    this.disk?.truncate(0);
  }

  close(): void {
    this.disk?.close();
    this.disk = null;
  }

  /** From `.part` to its name, once every byte is on disk. */
  async commit(): Promise<void> {
    if (!this.disk || !this.folder) return;
    this.disk.flush();
    this.close();
    const handle = await this.folder.getFileHandle(`${this.wanted.sha256}.part`);
    try {
      await handle.move(this.wanted.sha256);
    } catch {
      // A browser without move() downloads again next time rather than trust a copy.
    }
  }
}

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function damaged(wanted: WantedFile): DamagedFile {
  return new DamagedFile(
    `${wanted.path}: the server's copy is damaged (its SHA-256 is not the model's). ` +
      "The operator has to repair it.",
  );
}

declare global {
  interface FileSystemFileHandle {
    /** In every engine's private file system, not yet in the DOM types. */
    move(name: string): Promise<void>;
  }
}
