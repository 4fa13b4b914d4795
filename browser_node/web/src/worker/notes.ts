/**
 * Small texts kept across visits in the origin's private file system, by name.
 *
 * What cannot be kept (private window, full disk) is remembered for this visit only; what was
 * half written is not JSON, and whoever reads it takes it for nothing.
 */

const FOLDER = "notes";

export class Notes {
  private readonly here = new Map<string, string>();

  private constructor(private readonly folder: FileSystemDirectoryHandle | null) {}

  static async open(): Promise<Notes> {
    try {
      const root = await navigator.storage.getDirectory();
      return new Notes(await root.getDirectoryHandle(FOLDER, { create: true }));
    } catch {
      return new Notes(null);
    }
  }

  async read(name: string): Promise<string | undefined> {
    const here = this.here.get(name);
    if (here !== undefined || !this.folder) return here;
    try {
      return await (await (await this.folder.getFileHandle(name)).getFile()).text();
    } catch {
      return undefined;
    }
  }

  async write(name: string, value: string): Promise<void> {
    this.here.set(name, value);
    try {
      const handle = await this.folder?.getFileHandle(name, { create: true });
      const file = await handle?.createSyncAccessHandle();
      if (!file) return;
      try {
        file.truncate(0);
        file.write(new TextEncoder().encode(value), { at: 0 });
        file.flush();
      } finally {
        file.close();
      }
    } catch {
      // Another tab writes it, or the disk is full: the next visit is then as the first.
    }
  }
}
