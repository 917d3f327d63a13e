#!/usr/bin/env bash
# Trains the encoder of models/README.md, from nothing but its seed: an encoder for `vloc train --preset scene-coordinates-rooms` that has
# only seen synthetic rooms. On one thread of a CPU the same processor writes the same bytes. Arguments go to `vloc pretrain` (see
# `vloc pretrain --help`): `--device cuda:0 --rooms 1000 --steps 100000` is what a GPU is for.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh
[ -r "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"
cargo build --release --bin vloc
exec target/release/vloc pretrain --threads 1 --device cpu --out out/room-encoder "$@"
