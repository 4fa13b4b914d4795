/**
 * One WebSocket to the coordinator, as Python wants it: frames on demand, sends that wait.
 * (An object with `next` or `send` would look to Python like a generator.)
 *
 * The browser pushes frames; Python pulls them. What lies between is a queue, bounded by
 * closing the socket, since a coordinator that floods a tab is not one to keep listening to.
 */

/** A tab holds one job and hears a handful of frames per job; this many means a fault. */
const MAX_QUEUED = 256;
/** Unsent bytes above which `push` waits: two of the largest frames. */
const HIGH_WATER = 2 * 1088 * 1024;
/** The browser has no event for a drained buffer; at this rate the wait costs nothing. */
const DRAIN_POLL_MS = 20;

export class Socket {
  private readonly frames: Uint8Array[] = [];
  private wake: (() => void) | null = null;
  /** Set once closed; Python turns it into ConnectionLost. */
  closeCode = 0;
  closeReason = "";

  private constructor(private readonly raw: WebSocket) {
    raw.binaryType = "arraybuffer";
    raw.onmessage = ({ data }: MessageEvent<ArrayBuffer | string>) => this.receive(data);
    raw.onclose = ({ code, reason }) => this.closed(code, reason);
  }

  /** Resolves when open. Rejects where the server cannot be reached or refuses. */
  static open(path: string, protocols: string[]): Promise<Socket> {
    const url = new URL(path, self.location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const raw = new WebSocket(url, protocols);
    return new Promise((resolve, reject) => {
      // The browser hides why a handshake failed (status, reason), so there is no more to say.
      raw.onclose = ({ code }) => reject(new Error(`the coordinator did not answer (${code})`));
      raw.onopen = () => resolve(new Socket(raw));
    });
  }

  /**
   * The next frame, or undefined once the socket is closed and every frame was taken.
   * (Python sees undefined as None; null would be an object of its own there.)
   */
  async pull(): Promise<Uint8Array | undefined> {
    while (this.frames.length === 0) {
      if (this.closeCode) return undefined;
      await new Promise<void>((resolve) => (this.wake = resolve));
    }
    return this.frames.shift();
  }

  async push(frame: Uint8Array<ArrayBuffer>): Promise<void> {
    while (this.raw.bufferedAmount > HIGH_WATER && !this.closeCode)
      await new Promise((resolve) => setTimeout(resolve, DRAIN_POLL_MS));
    if (this.raw.readyState !== WebSocket.OPEN) throw new Error("the connection is closed");
    this.raw.send(frame);
  }

  close(code: number, reason: string): void {
    // A script may only give 1000 or 3000-4999; the protocol's own codes are above 4000.
    const allowed = code === 1000 || (code >= 3000 && code <= 4999);
    this.raw.close(allowed ? code : 1000, reason.slice(0, 100));
    this.closed(code, reason);
  }

  private receive(data: ArrayBuffer | string): void {
    if (typeof data === "string") this.close(4003, "text frames are not spoken here");
    else if (this.frames.length >= MAX_QUEUED) this.close(4008, "too many frames at once");
    else this.frames.push(new Uint8Array(data));
    this.wakeUp();
  }

  private closed(code: number, reason: string): void {
    this.closeCode ||= code || 1006;
    this.closeReason ||= reason;
    this.wakeUp();
  }

  private wakeUp(): void {
    const wake = this.wake;
    this.wake = null;
    wake?.();
  }
}
