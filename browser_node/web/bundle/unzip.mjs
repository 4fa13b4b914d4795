// The one archive format of the build: a zip whose entries are stored, not deflated.
// The wire compresses the whole file with brotli, which does better over many small files,
// and the tab can then read it without an inflate of its own.

const LOCAL = 0x04034b50;

/** Yields [path, bytes] of a zip of stored entries; bytes are views into `archive`. */
export function* entries(archive) {
  const view = new DataView(archive.buffer, archive.byteOffset, archive.byteLength);
  let at = 0;
  while (at + 30 <= archive.length && view.getUint32(at, true) === LOCAL) {
    const flags = view.getUint16(at + 6, true);
    const method = view.getUint16(at + 8, true);
    const size = view.getUint32(at + 18, true);
    const nameLength = view.getUint16(at + 26, true);
    const start = at + 30 + nameLength + view.getUint16(at + 28, true);
    if (method !== 0 || flags & 8) throw new Error("tab.zip: entries must be stored, sizes first");
    const name = new TextDecoder().decode(archive.subarray(at + 30, at + 30 + nameLength));
    yield [name, archive.subarray(start, start + size)];
    at = start + size;
  }
}

/** Pyodide's `fsInit`: lays the archive's files into site-packages before Python starts. */
export function installInto(archive) {
  return (fs, { sitePackages }) => {
    for (const [name, bytes] of entries(archive)) {
      const path = `${sitePackages}/${name}`;
      fs.mkdirTree(path.slice(0, path.lastIndexOf("/")));
      fs.writeFile(path, bytes);
    }
  };
}
