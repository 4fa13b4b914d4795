/** What comes back from the GPU in this worker: each copy to memory maps a buffer for reading. */

let bytes = 0;

if ("GPUBuffer" in self) {
  const prototype = GPUBuffer.prototype;
  const mapped = Object.getOwnPropertyDescriptor(prototype, "mapAsync")?.value as
    | GPUBuffer["mapAsync"]
    | undefined;
  prototype.mapAsync = function (this: GPUBuffer, mode, offset = 0, size = this.size - offset) {
    if (mode === GPUMapMode.READ) bytes += size;
    if (!mapped) throw new Error("this browser's GPUBuffer cannot be mapped");
    return mapped.call(this, mode, offset, size);
  };
}

/** Bytes read back since the worker began; 0 where it computes without a GPU. */
export const bytesRead = (): number => bytes;
