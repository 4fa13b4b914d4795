/** What a page asks by the way: the next look comes by itself. */

/** Null where no whole answer came, or another than success. */
export async function read<T>(path: string, init: RequestInit = {}): Promise<T | null> {
  try {
    const answer = await fetch(path, { credentials: "omit", ...init });
    return answer.ok ? ((await answer.json()) as T) : null;
  } catch {
    return null;
  }
}
