#!/usr/bin/env bash
# Builds the Worker: the crate edge-ingest, compiled to wasm and packed by worker-build as edge-ingest/build/index.js and
# index_bg.wasm. Does nothing where nothing changed.
#
#   deploy/local/build-edge.sh                     build
#   deploy/local/build-edge.sh --crate FOLDER      build another Worker in the same way, as FOLDER/build
#   deploy/local/build-edge.sh --cargo clippy ...  run cargo with the toolchain and the settings of that build
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
root=$(cd -- "$here/../.." && pwd)
crate=edge-ingest
if [[ ${1-} == --crate && $# == 2 ]]; then
    crate=$2
    shift 2
fi
edge=$root/$crate
build=$edge/build
library=$(sed -n 's/^name = "\(.*\)"/\1/p' "$edge/Cargo.toml" | head -n 1)
library=${library//-/_}
wasm=wasm32-unknown-unknown

die() {
    echo "build-edge: stopped: $*" >&2
    exit 1
}

use_tools() {
    local env_file wanted
    env_file=$("$here/setup.sh" --print-env-file)
    [[ -f $env_file ]] || die "the tools are not set up: run deploy/local/setup.sh"
    # shellcheck source=/dev/null
    . "$env_file"
    [[ -n ${SPILLWAY_WASM_SYSROOT+set} ]] || die "the tools were set up by an older checkout: run deploy/local/setup.sh"
    wanted=$(awk -F '"' '/^name = "wasm-bindgen"$/ { getline; print $2; exit }' "$root/Cargo.lock" 2>/dev/null) || true
    [[ $("$WASM_BINDGEN_BIN" --version) == "wasm-bindgen $wanted" ]] ||
        die "Cargo.lock asks for wasm-bindgen $wanted, which is not set up: run deploy/local/setup.sh"
}

# Prints cargo's target folder. A relative CARGO_TARGET_DIR is meant relative to where the caller stands.
target_folder() {
    case ${CARGO_TARGET_DIR-} in
        /*) echo "$CARGO_TARGET_DIR" ;;
        ?*) echo "$PWD/$CARGO_TARGET_DIR" ;;
        *)
            cargo metadata --manifest-path "$edge/Cargo.toml" --no-deps --format-version 1 |
                sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p'
            ;;
    esac
}

use_toolchain() {
    CARGO_TARGET_DIR=$(target_folder)
    if [[ $SPILLWAY_WASM_KIND == debian ]]; then
        # Another rustc than that of the native build: what it compiles must not mix.
        CARGO_TARGET_DIR+=/debian-rust
        export RUSTC=$SPILLWAY_WASM_BIN/rustc PATH=$SPILLWAY_WASM_BIN:$PATH
        export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=$SPILLWAY_WASM_BIN/wasm-ld
    fi
    export CARGO_TARGET_DIR
    use_flags
    # A request's cost is the product here: one unit over all crates, which is slower to compile.
    export CARGO_PROFILE_RELEASE_LTO=fat CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1
    # worker-build sets this; without it, its own call of cargo would compile everything again.
    export WASM_BINDGEN_USE_JS_SYS=1
}

# Sets the compiler's flags: the caller's, that of .cargo/config.toml, which these hide, the instructions on vectors, which
# workerd has always had, and the library that unwinds.
# `panics` tells whether there is one.
use_flags() {
    local flags
    if [[ -n ${CARGO_ENCODED_RUSTFLAGS-} ]]; then
        IFS=$'\x1f' read -ra flags <<<"$CARGO_ENCODED_RUSTFLAGS"
    else
        read -ra flags <<<"${RUSTFLAGS-}"
    fi
    [[ ${flags[*]} == *getrandom_backend* ]] || flags+=(--cfg 'getrandom_backend="wasm_js"')
    flags+=(-Ctarget-feature=+simd128)
    panics=abort
    if [[ -n $SPILLWAY_WASM_SYSROOT ]]; then
        panics=unwind
        [[ $(<"$SPILLWAY_WASM_SYSROOT/rustc-version") == "$("${RUSTC:-rustc}" -vV)" ]] ||
            die "Rust is not of the version that its wasm library was compiled with: run deploy/local/setup.sh"
        flags+=(-Cpanic=unwind "--sysroot=$SPILLWAY_WASM_SYSROOT")
    fi
    CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f' && echo "${flags[*]}")
    export CARGO_ENCODED_RUSTFLAGS
}

run_cargo() {
    if [[ $1 == clippy && $SPILLWAY_WASM_KIND == debian ]]; then
        # rustup's cargo finds rustup's clippy only.
        exec "$SPILLWAY_WASM_BIN/cargo-clippy" "$@"
    fi
    exec cargo "$@"
}

# Two builds at a time: the second one waits, and then finds nothing to do.
take_turn() {
    mkdir -p "$build"
    exec 9>"$build/.lock"
    flock 9
}

# All that the packed Worker depends on, and the packed Worker itself.
fingerprint() {
    local files=("$CARGO_TARGET_DIR/$wasm/release/$library.wasm" "$root/Cargo.toml" "$edge/Cargo.toml"
        "${BASH_SOURCE[0]}" "$build/index.js" "$build/index_bg.wasm")
    echo "$SPILLWAY_WORKER_BUILD $WASM_BINDGEN_BIN $SPILLWAY_NODE_MODULES $SPILLWAY_WASM_SYSROOT"
    # Settings that worker-build reads from the environment.
    echo "${NO_MINIFY-unset} ${RUN_TO_COMPLETION-unset} ${CUSTOM_SHIM-unset} ${COREDUMP-unset} ${COREDUMP_FLAGS-unset}"
    sha256sum "${files[@]}" 2>/dev/null || true
}

pack() {
    local log=$build/.worker-build.log command=("$SPILLWAY_WORKER_BUILD" --release)
    rm -f "$build/.fingerprint"
    if [[ $panics == unwind ]]; then
        # worker-build asks for a nightly toolchain by name.
        command=(env "PATH=$here/nightly:$PATH" "${command[@]}" --panic-unwind)
    fi
    if ! "${command[@]}" >"$log" 2>&1 9>&-; then
        tail -n 20 "$log" | sed 's/^/    /' >&2
        die "worker-build could not pack the Worker (the whole log: $log)"
    fi
    fingerprint >"$build/.fingerprint"
}

use_tools
use_toolchain
if [[ ${1-} == --cargo ]]; then
    run_cargo "${@:2}"
fi
[[ $# == 0 ]] || die "unknown argument $1; usage: build-edge.sh [--crate FOLDER | --cargo ARGUMENT ...]"

cd "$edge"
take_turn
echo "build-edge: compiling $crate to wasm (minutes the first time)"
cargo build --quiet --release --lib --target "$wasm" 9>&-
if [[ -f $build/.fingerprint && $(<"$build/.fingerprint") == "$(fingerprint)" ]]; then
    echo "build-edge: $crate/build is up to date"
else
    echo "build-edge: packing it"
    pack
    echo "build-edge: built $crate/build ($(stat -c %s "$build/index_bg.wasm") bytes of wasm, in which panics $panics)"
fi
