#!/usr/bin/env bash
# Fuzzes what reads messages and files of unknown origin: tests/fuzz/run.sh [SECONDS_PER_TARGET] [TARGET...]
# Runs each target (default: all, 600 seconds each), one after the other, with AddressSanitizer, limits of 1 GB of
# memory, 512 MB in one allocation and 10 s per input. Prints executions and coverage of each; exits with 1 when one
# found something, which then lies in tests/fuzz/artifacts/<target>/.
# Needs cargo-fuzz (`cargo install cargo-fuzz`) and a stable Rust. What it learns stays in tests/fuzz/grown/.
set -euo pipefail
cd "$(dirname "$0")/../.."

seconds=${1:-600}
shift || true
targets=("$@")
fuzz=tests/fuzz
# The sanitizers' flags are unstable, not what they do.
export RUSTC_BOOTSTRAP=1
export ASAN_OPTIONS="quarantine_size_mb=64:${ASAN_OPTIONS:-}"
# A target that opens files writes them first.
[ -w /dev/shm ] && export TMPDIR=/dev/shm

cargo fuzz --version >/dev/null 2>&1 || { echo "cargo-fuzz is missing: cargo install cargo-fuzz" >&2; exit 2; }
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(cargo fuzz list --fuzz-dir "$fuzz")

found=0
for target in "${targets[@]}"; do
  mkdir -p "$fuzz/grown/$target" "$fuzz/artifacts/$target"
  log="$fuzz/artifacts/$target.log"
  verdict="no finding"
  cargo fuzz run --fuzz-dir "$fuzz" "$target" "$fuzz/grown/$target" "$fuzz/corpus/$target" -- \
    -max_total_time="$seconds" -rss_limit_mb=1024 -malloc_limit_mb=512 -timeout=10 -print_final_stats=1 \
    >"$log" 2>&1 || { verdict="FINDING, see $log"; found=1; }
  executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -n 1)
  edges=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
  memory=$(sed -n 's/^stat::peak_rss_mb: *//p' "$log" | tail -n 1)
  printf '%-12s %10s executions %7s edges %5s MB  %s\n' \
    "$target" "${executions:-?}" "${edges:-?}" "${memory:-?}" "$verdict"
done
exit $found
