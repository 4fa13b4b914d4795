"""How the tests drive a browser: constants, loaded by tests/browser/conftest.py with runpy.

(The file has this name by the project's layout; Python cannot import a name with a dot.)
"""

from __future__ import annotations

#: The first that exists is used; then whatever `playwright install chromium` left, if it did.
EXECUTABLES = (
    "/usr/bin/chromium-headless-shell",
    "/usr/bin/chromium",
    "/usr/bin/chromium-browser",
    "/usr/bin/google-chrome",
    "/snap/bin/chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)

ARGUMENTS = (
    # Containers and CI run as root, where Chromium's own sandbox does not start.
    "--no-sandbox",
    "--no-first-run",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # /dev/shm is 64 MB in many containers; WASM memories are larger.
    "--disable-dev-shm-usage",
    # A WebGPU adapter without a GPU: slow, and right.
    "--enable-unsafe-webgpu",
    "--use-webgpu-adapter=swiftshader",
)

#: Waiting for one thing on a page. A cold tab on two loaded cores needs 20 s.
TIMEOUT_MS = 60_000
#: SwiftShader computes one sentence of MiniLM in 2 s, and its first in 15.
SLOW_TIMEOUT_MS = 150_000
VIEWPORT = {"width": 1280, "height": 800}
