#!/usr/bin/env bash
# Installs what building vloc needs and is missing: system packages, a Rust toolchain, libtorch in .libtorch.
# `--peers` adds the Python environment .venv with the independent peers that the tests compare against, and Chromium,
# which looks at reports.
# Idempotent: a second run checks and does nothing. Nothing outside the checkout changes but system packages and,
# where no Rust is found, a rustup toolchain in the home directory.
#
#   LIBTORCH=/path             use that libtorch (2.11.0) instead of fetching one
#   LIBTORCH_USE_PYTORCH=1     use the PyTorch (2.11.0) of the python3 on the PATH
set -euo pipefail
cd "$(dirname "$0")/.."

rust_needed=1.88

say() { printf '[setup] %s\n' "$*"; }
die() { printf '[setup] error: %s\n' "$*" >&2; exit 1; }

install_system_packages() {
  local missing=() command_of package
  for pair in cc:build-essential c++:build-essential pkg-config:pkg-config curl:curl python3:python3 ip:iproute2; do
    command_of=${pair%%:*} package=${pair##*:}
    command -v "$command_of" >/dev/null || [[ " ${missing[*]-} " == *" $package "* ]] || missing+=("$package")
  done
  if ! { command -v python3 && python3 -c 'import ensurepip, venv'; } >/dev/null 2>&1; then
    missing+=(python3 python3-venv)
  fi
  [ -e /etc/ssl/certs/ca-certificates.crt ] || missing+=(ca-certificates)
  [ ${#missing[@]} -eq 0 ] && return
  command -v apt-get >/dev/null || die "these packages are missing and this system has no apt-get: ${missing[*]}"
  say "installing system packages: ${missing[*]}"
  apt_install "${missing[@]}"
}

apt_install() {
  local as_root=()
  [ "$(id -u)" -eq 0 ] || as_root=(sudo)
  "${as_root[@]}" apt-get update -qq
  DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

install_chromium() { # Ubuntu has it as a snap only: there the tests that need it say that they are skipped
  command -v chromium chromium-browser google-chrome >/dev/null && return
  [ -r /etc/os-release ] && . /etc/os-release
  if [ "${ID:-}" != debian ]; then
    say "no Chromium is found, and ${PRETTY_NAME:-this system} has no package of it: reports are not looked at in a browser"; return
  fi
  say "installing Chromium, which looks at reports in the tests"
  apt_install chromium fonts-dejavu-core
}

rust_is_new_enough() {
  command -v cargo >/dev/null || return 1
  local found
  found=$(rustc --version | cut -d' ' -f2)
  [ "$(printf '%s\n%s\n' "$rust_needed" "$found" | sort -V | head -n1)" = "$rust_needed" ]
}

install_rust() {
  [ -r "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"
  rust_is_new_enough && return
  say "installing the Rust toolchain with rustup (Rust $rust_needed or newer was not found)"
  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y -q --profile minimal -c clippy -c rustfmt --default-toolchain stable
  . "$HOME/.cargo/env"
}

pip_venv() { # a pip of our own, so that neither Debian's nor the user's Python is touched
  [ -x .venv/bin/python ] || python3 -m venv .venv
}

install_libtorch() {
  if [ -n "${LIBTORCH:-}" ]; then
    [ -e "$LIBTORCH/lib/libtorch_cpu.so" ] || die "LIBTORCH=$LIBTORCH holds no lib/libtorch_cpu.so; point it at a libtorch 2.11.0 or unset it"
    say "using LIBTORCH=$LIBTORCH"; return
  fi
  if [ "${LIBTORCH_USE_PYTORCH:-0}" != 0 ]; then
    local found
    found=$(python3 -c 'import torch; print(torch.__version__)' 2>/dev/null) || die "LIBTORCH_USE_PYTORCH is set, but 'import torch' fails in $(command -v python3)"
    [[ "$found" == 2.11.0* ]] || die "LIBTORCH_USE_PYTORCH is set; expected torch 2.11.0, found $found"
    say "using the PyTorch $found of $(command -v python3)"; return
  fi
  local want; want=$(sha256sum scripts/libtorch.txt | cut -d' ' -f1)
  [ "$(cat .libtorch/requirements.sha256 2>/dev/null)" = "$want" ] && return
  [ "$(uname -sm)" = "Linux x86_64" ] || die "expected Linux x86_64, found $(uname -sm): set LIBTORCH or LIBTORCH_USE_PYTORCH to a libtorch 2.11.0 of your own"
  pip_venv
  local work; work=$(mktemp -d "$PWD/.libtorch-XXXXXX")
  trap 'rm -rf "$work"' RETURN
  say "downloading libtorch 2.11.0 (544 MB, once)"
  .venv/bin/python -m pip download -q --no-cache-dir --no-deps --only-binary=:all: --require-hashes -r scripts/libtorch.txt -d "$work/wheels" \
    --implementation cp --python-version 3.12 --abi cp312 --abi none \
    --platform manylinux_2_28_x86_64 --platform manylinux_2_25_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64
  .venv/bin/python scripts/unpack_libtorch.py "$work/wheels" "$work/libtorch"
  printf '%s\n' "$want" > "$work/libtorch/requirements.sha256"
  rm -rf .libtorch
  mv "$work/libtorch" .libtorch
  say "libtorch is in .libtorch"
}

install_peers() {
  local want; want=$(sha256sum tests/peers/requirements.txt | cut -d' ' -f1)
  [ "$(cat .venv/peers.sha256 2>/dev/null)" = "$want" ] && return
  pip_venv
  say "installing the Python peers of the tests into .venv"
  .venv/bin/python -m pip install -q --disable-pip-version-check --only-binary=:all: --require-hashes -r tests/peers/requirements.txt
  printf '%s\n' "$want" > .venv/peers.sha256
}

install_system_packages
install_rust
install_libtorch
if [ "${1:-}" = "--peers" ]; then
  install_peers
  install_chromium
fi
say "ready"
