/** Vectors from the wire, how near they are, and how they are drawn. Pure. */

/** Rows of `dims` little-endian float32 in base64, as the embeddings connector sends them. */
export function rows(base64: string, dims: number): Float32Array[] {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  if (dims < 1 || bytes.length % (4 * dims) !== 0) throw new Error("the answer is not whole rows");
  const view = new DataView(bytes.buffer);
  const all = Float32Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(4 * i, true));
  return Array.from({ length: all.length / dims }, (_, i) => all.subarray(i * dims, (i + 1) * dims));
}

/** Cosine of the angle between two vectors, -1 to 1; 0 where one of them is zero. */
export function cosine(a: Float32Array, b: Float32Array): number {
  let dot = 0;
  let aa = 0;
  let bb = 0;
  a.forEach((x, i) => {
    const y = b[i] ?? 0;
    dot += x * y;
    aa += x * x;
    bb += y * y;
  });
  return aa > 0 && bb > 0 ? dot / Math.sqrt(aa * bb) : 0;
}

/** What a similarity means for sentences, in one or two words. */
export function verdict(similarity: number): string {
  if (similarity >= 0.9) return "nearly the same";
  if (similarity >= 0.7) return "close in meaning";
  if (similarity >= 0.4) return "related";
  if (similarity >= 0.2) return "loosely related";
  return "unrelated";
}

/** An SVG path of vertical bars from the middle line, one unit wide each. */
export function bars(vector: Float32Array, height: number): string {
  const largest = vector.reduce((most, x) => Math.max(most, Math.abs(x)), 0) || 1;
  const middle = height / 2;
  const bar = (x: number, i: number): string => `M${i + 0.5} ${middle}v${((-x / largest) * middle).toFixed(2)}`;
  return Array.from(vector, bar).join("");
}
