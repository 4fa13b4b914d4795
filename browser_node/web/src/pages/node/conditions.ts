/** What the browser says about the machine's surroundings: network and power. */

interface Battery extends EventTarget {
  readonly charging: boolean;
}

export class Conditions {
  online = navigator.onLine;
  /** False where the browser does not tell: Firefox and Safari have no Battery API. */
  onBattery = false;

  constructor(private readonly onChange: () => void) {
    const network = (): void => {
      this.online = navigator.onLine;
      onChange();
    };
    window.addEventListener("online", network);
    window.addEventListener("offline", network);
    void this.watchBattery();
  }

  private async watchBattery(): Promise<void> {
    const { getBattery } = navigator as { getBattery?: () => Promise<Battery> };
    if (!getBattery) { hideBatterySetting(); return; }
    try {
      const battery = await getBattery.call(navigator);
      const power = (): void => {
        this.onBattery = !battery.charging;
        this.onChange();
      };
      battery.addEventListener("chargingchange", power);
      power();
    } catch {
      hideBatterySetting(); // Blocked by a permissions policy: as if it did not exist.
    }
  }
}

/** A switch that does nothing would be a lie. */
function hideBatterySetting(): void {
  const field = document.getElementById("setting-battery")?.closest<HTMLElement>(".field");
  if (field) field.hidden = true;
}
