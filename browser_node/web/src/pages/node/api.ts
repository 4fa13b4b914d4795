/** The coordinator's HTTP API as the node page uses it; types are the server's own. */

import type {
  Challenge,
  ChallengeRequest,
  Claim,
  Claims,
  ErrorBody,
  Grids,
  PayoutOffer,
  PayoutRequest,
  Session,
  SignedClaim,
  Strike,
  Strikes,
  VerifyRequest,
  Wallet,
} from "../../generated/api.js";
import type { ClaimApi } from "../../wallet/claim.js";
import type { SignInApi } from "../../wallet/sign_in.js";

/** The server said no (`status`), or could not be reached (`status` 0). */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly code: string | null = null,
  ) {
    super(message);
    this.name = "ApiError";
  }
}

/** Longer than any answer of a healthy coordinator, shorter than a person's patience. */
const TIMEOUT_MS = 15_000;

export class Api implements SignInApi, ClaimApi {
  /** Called on every 401 of a call that needs the session, so that one place signs out. */
  onSessionLost: () => void = () => undefined;
  /** Seconds that the server's clock is ahead of this machine's, from its last answer. */
  private ahead = 0;

  /** Seconds since 1970 by the server's clock, good to about a second. */
  serverNow(): number {
    return Date.now() / 1_000 + this.ahead;
  }

  challenge(request: ChallengeRequest): Promise<Challenge> {
    return this.send("POST", "/api/auth/challenge", request);
  }

  verify(request: VerifyRequest): Promise<Session> {
    return this.send("POST", "/api/auth/verify", request);
  }

  /** The session of an earlier visit, null where there is none or it has expired. */
  async session(): Promise<Session | null> {
    try {
      return await this.send<Session>("GET", "/api/auth/session");
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) return null;
      throw error;
    }
  }

  async signOut(): Promise<void> {
    await this.send("DELETE", "/api/auth/session");
  }

  grids(): Promise<Grids> {
    return this.send("GET", "/api/grids");
  }

  wallet(address: string): Promise<Wallet> {
    return this.send("GET", `/api/wallets/${address}`);
  }

  claims(address: string): Promise<Claims> {
    return this.send("GET", `/api/claims?wallet=${address}`);
  }

  createClaim(): Promise<Claim> {
    return this.withSession(this.send("POST", "/api/claims", {}));
  }

  signClaim(id: string, signed: SignedClaim): Promise<Claim> {
    return this.withSession(this.send("POST", `/api/claims/${id}/sign`, signed));
  }

  payoutOffer(): Promise<PayoutOffer> {
    return this.withSession(this.send("GET", "/api/payouts/offer"));
  }

  createPayout(request: PayoutRequest): Promise<Claim> {
    return this.withSession(this.send("POST", "/api/payouts", request));
  }

  strikes(): Promise<Strikes> {
    return this.withSession(this.send("GET", "/api/strikes"));
  }

  appeal(job: string): Promise<Strike> {
    return this.withSession(this.send("POST", `/api/strikes/${job}/appeal`));
  }

  readClaim(id: string): Promise<Claim> {
    return this.send("GET", `/api/claims/${id}`);
  }

  private async withSession<T>(call: Promise<T>): Promise<T> {
    try {
      return await call;
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) this.onSessionLost();
      throw error;
    }
  }

  private async send<T>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await reach(path, {
      method,
      signal: AbortSignal.timeout(TIMEOUT_MS),
      ...(body !== undefined && {
        body: JSON.stringify(body),
        headers: { "content-type": "application/json" },
      }),
    });
    const date = Date.parse(response.headers.get("date") ?? "");
    if (Number.isFinite(date)) this.ahead = (date - Date.now()) / 1_000;
    if (!response.ok) throw await refusal(response);
    return (response.status === 204 ? undefined : await response.json().catch(cut)) as T;
  }
}

function cut(): never {
  throw new ApiError(0, "The coordinator cannot be reached. Check the network and try again.");
}

function reach(path: string, init: RequestInit): Promise<Response> {
  return fetch(path, init).catch(cut);
}

async function refusal(response: Response): Promise<ApiError> {
  try {
    const { error } = (await response.json()) as ErrorBody;
    return new ApiError(response.status, error.message, error.code);
  } catch {
    return new ApiError(response.status, `The coordinator answered ${response.status}.`);
  }
}
