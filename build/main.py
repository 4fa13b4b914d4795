"""What build/demo, build/test and build/lock start: `python3 build/main.py <command> …`.

Everything under build/set_up is standard library only: it runs before anything is installed.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

sys.dont_write_bytecode = True  # a checkout that was only looked at stays clean

from set_up import demo, lock, report, suite  # noqa: E402 - after the switch above

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = {"demo": demo.main, "test": suite.main, "lock": lock.main}


def main() -> int:
    # Start-up is a third quicker when children may keep their bytecode.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    command, *arguments = sys.argv[1:]
    try:
        return COMMANDS[command](ROOT, arguments)
    except report.Failed as failed:
        report.error(str(failed))
        return 1
    except KeyboardInterrupt:
        report.error("Stopped. Run it again to go on where it was.")
        return 130
    except OSError as error:
        report.error(report.explain(error))
        return 1


if __name__ == "__main__":
    sys.exit(main())
