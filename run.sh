#!/usr/bin/env bash
# Sets the plugin up in ./.venv (system libraries included, on Debian and its relatives) and runs it:
#
#   bash run.sh demo [options of "semimultipose demo"]   the main job on built-in sample data
#   bash run.sh test [options of pytest]                 code checks and tests
#   bash run.sh setup                                    set up only
#
# PYTHON=/path/to/python3.12 chooses the Python. A second run finds everything in place and starts at once.
set -euo pipefail
# Where Python may not keep compiled modules, as in many containers, each process compiles all of torch anew: 4 s and more.
unset PYTHONDONTWRITEBYTECODE
cd "$(dirname "${BASH_SOURCE[0]}")"

system_packages=(
  xvfb xauth libgl1-mesa-dri libgl1 libegl1 libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4
  libxcb-image0 libxcb-keysyms1 libxcb-randr0 libxcb-render-util0 libxcb-shape0 libxcb-xinerama0
  libxcb-xkb1 libdbus-1-3 libfontconfig1 libglib2.0-0
)

say() { printf '\033[1m==> %s\033[0m\n' "$*" >&2; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

retry() { # runs a command up to four times, with growing pauses: networks hiccup
  local pause
  for pause in 5 20 60; do
    if "$@"; then return 0; fi
    say "failed: $1; trying again in $pause s"
    sleep "$pause"
  done
  "$@"
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    # Without a terminal nobody can type a password: -n lets sudo fail instead of wait.
    if [ -t 0 ]; then sudo "$@"; else sudo -n "$@"; fi
  else
    return 1
  fi
}

install_packages() { # Debian packages, those that are missing
  local plan
  if plan=$(LC_ALL=C apt-get -s install --no-upgrade --no-install-recommends "$@" 2>/dev/null) \
      && grep -q '^0 upgraded, 0 newly installed' <<<"$plan"; then
    return 0
  fi
  say "installing system packages"
  as_root true || { say "neither root nor sudo; please install: $*"; return 1; }
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 -qq)
  retry as_root "${apt[@]}" update || return 1
  retry as_root "${apt[@]}" install -y --no-upgrade --no-install-recommends "$@" >/dev/null
}

install_display() { # what a napari window needs, on a real or on a virtual screen
  [ "$(uname -s)" = Linux ] || return 0
  if command -v apt-get >/dev/null; then
    install_packages "${system_packages[@]}" && return 0
  fi
  say "please install Xvfb (xvfb-run), Mesa's software OpenGL and Qt's xcb libraries; their Debian names: ${system_packages[*]}"
  return 1
}

find_python() { # prints a Python of version 3.11 or newer
  local candidate
  for candidate in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11 python3.14 python; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$candidate"
      return 0
    fi
  done
  return 1
}

make_environment() { # ./.venv with uv in it
  if .venv/bin/uv --version >/dev/null 2>&1 \
      && .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    return 0
  fi
  local python
  python=$(find_python) || fail "Python 3.11 or newer is needed, found $(python3 --version 2>&1 || true). Install one" \
    "(on Debian: apt-get install python3 python3-venv; anywhere: pip install uv && uv python install 3.12) and name it:" \
    "PYTHON=\$(uv python find 3.12) bash run.sh ..."
  if ! "$python" -c 'import ensurepip, venv' 2>/dev/null && command -v apt-get >/dev/null; then
    # Debian's own Python comes without these modules.
    install_packages "python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
  fi
  say "making .venv with $("$python" --version)"
  "$python" -m venv --clear .venv
  retry .venv/bin/python -m pip install --quiet --disable-pip-version-check uv
}

install_plugin() { # the plugin (editable) with the extras given
  local stamp=".venv/.installed-$1" state
  state=$(pwd; cat pyproject.toml)
  if [ -f "$stamp" ] && [ "$state" = "$(cat "$stamp")" ]; then return 0; fi
  say "installing the plugin and its libraries"
  UV_HTTP_TIMEOUT=${UV_HTTP_TIMEOUT:-300} retry .venv/bin/uv pip install --quiet --python .venv/bin/python -e ".[$1]"
  printf '%s\n' "$state" >"$stamp"
}

run_demo() {
  install_display || say "going on; without these libraries there may be no labelled video and no window"
  make_environment
  install_plugin all
  exec .venv/bin/semimultipose demo "$@"
}

run_tests() {
  local screen=()
  if [ "$(uname -s)" = Linux ]; then
    install_display || command -v Xvfb >/dev/null || fail "the tests need a virtual screen (Xvfb)"
    screen=(env -u WAYLAND_DISPLAY QT_QPA_PLATFORM=xcb)
  fi
  make_environment
  install_plugin all,dev
  say "ruff"
  .venv/bin/ruff check .
  .venv/bin/ruff format --check .
  say "mypy"
  .venv/bin/mypy
  say "pytest"
  # Each worker has a virtual screen of its own; a file stays with one worker, so that models and windows are made once.
  exec ${screen[@]+"${screen[@]}"} .venv/bin/python -m pytest -n auto --maxprocesses 4 --dist loadfile "$@"
}

command=${1:-}
shift || true
case $command in
  demo) run_demo "$@" ;;
  test) run_tests "$@" ;;
  setup) install_display || true; make_environment; install_plugin all,dev ;;
  *) sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac
