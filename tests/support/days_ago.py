"""`tabgrid` with its clock set back: what it does now, it did days ago.

    python -m tests.support.days_ago DAYS ARGUMENTS …

What only time brings (a day's secret, earnings released) is then there after a restart without
it, by the same program and the same data.
"""

from __future__ import annotations

import sys
import time


def main() -> None:
    back = float(sys.argv.pop(1)) * 86_400
    now = time.time
    time.time = lambda: now() - back
    # After that, so that nobody keeps the clock as it was.
    from tabgrid_server.cli.main import main as tabgrid

    tabgrid()


if __name__ == "__main__":
    main()
