/**
 * Put before the node's own, unchanged worker: a WebSocket that leads to the page.
 *
 * The bench plays the coordinator. A job's time counts in here, from its frame's arrival to
 * the frame that answers it, so neither a network nor the page is in it.
 */

import { bytesRead } from "./reads";

/**
 * Page to worker: a frame. Worker to page: a frame, and since the last one in the
 * milliseconds and the bytes that came back from the GPU.
 */
export interface LoopbackFrame {
  bytes: Uint8Array<ArrayBuffer>;
  ms: number;
  read: number;
}

export const INTO_WORKER = "tabgrid-bench-in";
export const OUT_OF_WORKER = "tabgrid-bench-out";

const incoming = new BroadcastChannel(INTO_WORKER);
const outgoing = new BroadcastChannel(OUT_OF_WORKER);

/** As much of a WebSocket as worker/socket.ts uses. */
class Loopback {
  static readonly OPEN = 1;
  readonly readyState = Loopback.OPEN;
  readonly bufferedAmount = 0;
  binaryType = "";
  onopen: (() => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  onmessage: ((event: { data: ArrayBuffer }) => void) | null = null;
  private arrived = performance.now();
  private readBefore = 0;

  constructor() {
    incoming.onmessage = ({ data }: MessageEvent<Uint8Array<ArrayBuffer>>) => {
      this.arrived = performance.now();
      this.readBefore = bytesRead();
      this.onmessage?.({ data: data.buffer });
    };
    queueMicrotask(() => this.onopen?.());
  }

  send(frame: Uint8Array<ArrayBuffer>): void {
    const ms = performance.now() - this.arrived;
    const read = bytesRead() - this.readBefore;
    outgoing.postMessage({ bytes: frame.slice(), ms, read } satisfies LoopbackFrame);
  }

  close(code: number, reason: string): void {
    this.onclose?.({ code, reason });
  }
}

Object.assign(self, { WebSocket: Loopback });
