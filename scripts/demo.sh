#!/usr/bin/env bash
# From a fresh clone to a robot's pose: sets up what is missing, builds, renders a walk of a robot through the synthetic
# room, localizes it with the bundled model, and leaves tables, pictures and trajectories in out/demo.
# Arguments go to `vloc demo` (see `vloc demo --help`).
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh
[ -r "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"
cargo build --release --bin vloc
exec target/release/vloc demo "$@"
