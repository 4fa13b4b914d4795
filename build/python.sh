# Sourced by build/demo, build/test and build/lock: sets $python to an interpreter that fits.
# POSIX sh, because nothing newer may be assumed before Python has been found.
python=
for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
  if command -v "$candidate" >/dev/null 2>&1 &&
    "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    python=$candidate
    break
  fi
done
if [ -z "$python" ]; then
  if command -v python3 >/dev/null 2>&1; then
    found="python3 here is $(python3 -c 'import platform; print(platform.python_version())')"
  else
    found="there is no python3 here"
  fi
  echo "error: Tabgrid needs Python 3.11 or newer, and $found:" \
    "install it (Debian 12, Ubuntu 24.04: apt install python3 python3-venv;" \
    "Ubuntu 22.04: apt install python3.11 python3.11-venv; macOS: brew install python)." >&2
  exit 1
fi
