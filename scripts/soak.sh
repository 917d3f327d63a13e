#!/usr/bin/env bash
# Half an hour of a robot's life: 30 images of 640x480 and 200 readings of an IMU a second to a node on this machine, over
# DDS on loopback. No reading may be lost and memory must stay flat; prints that, and the share of a core that it takes.
#
#   scripts/soak.sh [SECONDS]
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-1800}
scripts/setup.sh --peers
[ -r "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"
cargo build --release
target=$(cargo metadata --format-version 1 --no-deps | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')
room=out/soak/room
[ -d "$room/bags/test" ] ||
  "$target/release/vloc" synth --out "$room" --format bag --passes 1 --frames 2 --test-frames 600 --rate 30 --width 640 --height 480
NODE=$target/release/vloc_node tests/peers/loopback.sh .venv/bin/python tests/peers/soak.py "$room/bags/test" \
  --model models/synthetic-room --out out/soak --seconds "$seconds"
