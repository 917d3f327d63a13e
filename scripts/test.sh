#!/usr/bin/env bash
# Sets up what is missing, builds, and runs every test of the library, the programs and the documentation.
# Arguments go to `cargo test`: scripts/test.sh --test geometry
# Ends with a line that counts the tests; the exit code is 0 only if all passed.
set -uo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh --peers || exit
[ -r "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"

log=$(mktemp)
trap 'rm -f "$log"' EXIT
cargo test --release --no-fail-fast "$@" 2>&1 | tee "$log"
status=${PIPESTATUS[0]}
skipped=$(grep -c '^skipped: ' "$log")
awk -v skipped="$skipped" '
  /^test result:/ { passed += $4; failed += $6; ignored += $8 }
  END { printf "%d passed, %d failed, %d skipped\n", passed - skipped, failed, ignored + skipped }
' "$log"
exit "$status"
