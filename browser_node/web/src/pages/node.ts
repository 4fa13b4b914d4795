/**
 * The node page: binds the person (wallet, controls, figures) to the worker (the machine).
 *
 * Nothing starts by itself: signing in makes a key, Start makes the machine work, and both
 * wait for a press.
 */

import type { Session } from "../generated/api.js";
import { enhance } from "../lib/enhance.js";
import type { NodeStatus, PauseReason } from "../shared/protocol.js";
import { registerDemoWallet } from "../wallet/demo_wallet.js";
import { Api } from "./node/api.js";
import { JobsChart } from "./node/chart.js";
import { Conditions } from "./node/conditions.js";
import { button } from "./node/dom.js";
import { Engine, type EngineView } from "./node/engine.js";
import { InstrumentPanel } from "./node/instrument_panel.js";
import { MoneyPanel } from "./node/money_panel.js";
import { chainOf, readPageData, tokenOf } from "./node/page_data.js";
import { PicturePanel } from "./node/picture_panel.js";
import { Settings } from "./node/settings.js";
import { StrikesPanel } from "./node/strikes_panel.js";
import { WalletPanel } from "./node/wallet_panel.js";
import type { Situation } from "./node/words.js";

class NodePage {
  private readonly data = readPageData();
  private readonly api = new Api();
  private readonly settings = new Settings(
    () => this.applyPauses(),
    () => void this.regrid(),
    () => this.picture.clear(),
  );
  private readonly picture = new PicturePanel((grid) => this.settings.shown(grid));
  private readonly conditions = new Conditions(() => this.applyPauses());
  private readonly chart = new JobsChart();
  private readonly engine = new Engine({
    workerUrl: this.asset("worker.js"),
    assets: this.data.assets,
    forceBackend: () => this.settings.backend,
    onChange: (view) => this.heard(view),
    onPreview: (preview) => void this.picture.draw(preview),
  });
  private readonly panel = new InstrumentPanel(this.data.grids, (does) => {
    if (does === "reload") location.reload();
    else if (does === "test") this.engine.testAgain();
    else void this.again(does === "processor");
  });
  private readonly wallet = new WalletPanel({
    api: this.api,
    identity: () => this.engine.identity(),
    onSession: (session) => this.signedIn(session),
  });
  private readonly money = new MoneyPanel(
    this.api,
    tokenOf(this.data),
    chainOf(this.data),
    () => this.wallet.offer,
  );
  private readonly strikes = new StrikesPanel(this.api, tokenOf(this.data));
  private pausedByOwner = false;
  private heardAt = 0;
  /** The node counts from its own start; the visit goes on over restarts. */
  private counted = { jobs: 0, earned: 0 };
  private visit = { jobs: 0, earned: 0 };

  constructor() {
    button("start").addEventListener("click", () => void this.toggle());
    button("pause").addEventListener("click", () => this.togglePause());
    setInterval(() => this.tick(), 1_000);
    this.render();
    void this.wallet.restore();
  }

  private async toggle(): Promise<void> {
    if (this.engine.running) this.engine.stop();
    else await this.start();
  }

  private async again(onProcessor: boolean): Promise<void> {
    if (onProcessor) this.settings.useProcessor();
    if (this.engine.running) this.engine.stop();
    await this.start();
  }

  /** The session names the worker key that signs: a browser that lost it must sign in again. */
  private async start(): Promise<void> {
    const session = this.wallet.session;
    const { grids, node: settings } = this.settings;
    if (!session || grids.length === 0) return;
    this.pausedByOwner = false;
    const wanted = { grids, wallet: session.wallet, settings, pauses: this.pauses() };
    await this.engine.start(wanted);
    const { workerKey, deviceId } = await this.engine.identity();
    if (workerKey === session.worker_key && deviceId === session.device_id) return;
    this.wallet.lose("This browser's signing key has changed, so the old sign-in no longer fits. Sign in again.");
  }

  private togglePause(): void {
    this.pausedByOwner = !this.pausedByOwner;
    this.applyPauses();
  }

  private pauses(): Set<PauseReason> {
    const pauses = new Set<PauseReason>();
    if (this.pausedByOwner) pauses.add("owner");
    if (this.onBattery) pauses.add("battery");
    return pauses;
  }

  private get onBattery(): boolean {
    return this.settings.pauseOnBattery && this.conditions.onBattery;
  }

  private applyPauses(): void {
    this.engine.setPauses(this.pauses());
    this.render();
  }

  /** Other grids, other models: the node joins afresh with them, or stops where none is left. */
  private async regrid(): Promise<void> {
    if (this.engine.running) {
      this.engine.stop();
      await this.start();
    }
    this.render();
  }

  private signedIn(session: Session | null): void {
    if (session === null && this.engine.running) this.engine.stop();
    this.visit = { jobs: 0, earned: 0 };
    this.render();
    void this.money.show(session?.wallet ?? null);
    this.strikes.show(session?.wallet ?? null);
  }

  private heard({ status, state }: EngineView): void {
    if (state === "gave-up") void this.wallet.recheck();
    this.heardAt = performance.now();
    if (status) this.strikes.news(JSON.stringify(status.standings));
    if (status) this.count(status);
    else this.counted = { jobs: 0, earned: 0 };
    this.render();
  }

  private count({ jobs_done: jobs, earned }: NodeStatus): void {
    const fresh = jobs - this.counted.jobs;
    if (fresh > 0) this.chart.add(fresh);
    this.visit.jobs += fresh;
    this.visit.earned += earned - this.counted.earned;
    this.counted = { jobs, earned };
    this.money.earned(this.visit.earned, this.visit.jobs);
  }

  private tick(): void {
    this.money.tick();
    this.strikes.tick();
    this.chart.tick();
    this.panel.renderHint(this.situation(), this.retryIn());
  }

  /** Seconds until the next try, of the coordinator or of a fresh worker; 0 for none. */
  private retryIn(): number {
    const { state, retryAt, status } = this.engine.current;
    const now = performance.now();
    if (state === "recycling") return Math.max(0, (retryAt - now) / 1_000);
    if (!status || status.retry_in <= 0) return 0;
    return Math.max(0, status.retry_in - (now - this.heardAt) / 1_000);
  }

  private situation(): Situation {
    return {
      engine: this.engine.current,
      signedIn: this.wallet.session !== null,
      grids: this.settings.grids.length,
      online: this.conditions.online,
      onBattery: this.onBattery,
      isolated: window.crossOriginIsolated,
      gpu: "gpu" in navigator,
      chosenWasm: this.settings.backend === "wasm",
    };
  }

  private render(): void {
    const situation = this.situation();
    const canStart = situation.signedIn && situation.grids > 0;
    const running = this.engine.running;
    this.panel.render(situation, { canStart, running, paused: this.pausedByOwner });
    this.picture.follow(situation.engine.status);
    this.panel.renderHint(situation, this.retryIn());
  }

  private asset(name: string): string {
    const url = this.data.assets[name];
    if (url === undefined) throw new Error(`the server named no ${name}`);
    return url;
  }
}

if (readPageData().chain.local) registerDemoWallet();
enhance();
new NodePage();
