#!/usr/bin/env bash
# Looks for inputs that break a check of this crate, with cargo-fuzz: builds its targets, and runs each of them for a while,
# two at a time, from the committed corpus and from what earlier runs have found (target/fuzz/corpus).
#
#   tests/fuzz/run.sh              all targets
#   tests/fuzz/run.sh wire json    those
#
# FUZZ_SECONDS         how long each target runs (default: 20)
# SPILLWAY_CARGO_FUZZ  cargo-fuzz, as set up by deploy/local/setup.sh --with-fuzzer
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."

export FUZZ_SECONDS=${FUZZ_SECONDS:-20}
export fuzz=tests/fuzz target=${CARGO_TARGET_DIR:-target}/fuzz
triple=x86_64-unknown-linux-gnu
export programs=$target/$triple/release
targets=("$@")
[[ $# -gt 0 ]] || targets=(wire columns json decompress record headers object_key api_key)

# AddressSanitizer watches the C and the unsafe code below the parsers. Some distributions' Rust comes without it.
sanitizer=address
compgen -G "$(rustc --print target-libdir)/librustc-*_rt.asan.a" >/dev/null || sanitizer=none

echo "fuzz: compiling the targets (2 minutes the first time)"
# Sanitizers and coverage are for nightly toolchains, unless RUSTC_BOOTSTRAP is set.
RUSTC_BOOTSTRAP=1 "$SPILLWAY_CARGO_FUZZ" build --fuzz-dir "$fuzz/libfuzzer" --target-dir "$target" --target "$triple" \
    --sanitizer "$sanitizer"

run_one() {
    local name=$1 found=$target/found/$1 log=$target/$1.log options=()
    mkdir -p "$target/corpus/$name" "$found"
    [[ ! -e $fuzz/libfuzzer/$name.dict ]] || options+=("-dict=$fuzz/libfuzzer/$name.dict")
    if "$programs/$name" -max_total_time="$FUZZ_SECONDS" -max_len=4096 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        "${options[@]}" -artifact_prefix="$found/" "$target/corpus/$name" "$fuzz/corpus/$name" >"$log" 2>&1; then
        echo "fuzz: $name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs, and its check holds"
        return
    fi
    tail -n 40 "$log"
    echo "fuzz: $name fails: the input is in $found; put it into $fuzz/corpus/$name when it is mended (the log: $log)"
    return 1
}
export -f run_one

echo "fuzz: each target runs for $FUZZ_SECONDS s"
printf '%s\n' "${targets[@]}" | xargs -P 2 -I '{}' bash -c 'run_one "$1"' _ '{}'
