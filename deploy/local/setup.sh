#!/usr/bin/env bash
# Sets up what building the Worker and running Spillway locally needs: Node, the npm tools (workerd, miniflare, ...),
# worker-build and wasm-bindgen, the wasm target of Rust, and the ClickHouse engine. Whatever is there is left alone.
#
#   deploy/local/setup.sh                        set up what is missing
#   deploy/local/setup.sh --with-checkers        the same, and what `make deny` runs
#   deploy/local/setup.sh --with-fuzzer          the same, and cargo-fuzz, which `make fuzz` runs
#   deploy/local/setup.sh --with-valgrind        the same, and valgrind, which `make instructions` runs
#   deploy/local/setup.sh --for-tests            the same, and PostgreSQL and the exporters of Python and Node for `make test`
#   deploy/local/setup.sh --with-all-exporters   the same, and all that `make interop` drives
#   deploy/local/setup.sh --with-collector       the same, and the Collector's exporter that `make agreement` runs
#   deploy/local/setup.sh --print-env-file       print the path of the file of shell exports that it writes
#
# SPILLWAY_CACHE            where the tools live (default: ~/.cache/spillway)
# SPILLWAY_WASM_TOOLCHAIN   rustup, debian or auto: where the wasm target comes from (see setup/wasm-target.sh)
# SPILLWAY_POSTGRES         machine, npm or auto: where PostgreSQL comes from (see setup/postgres.sh)
# CLICKHOUSE_URL            a ClickHouse server to use; the engine is then not downloaded
# shellcheck source-path=SCRIPTDIR
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
root=$(cd -- "$here/../.." && pwd)
tools=$here/tools

. "$here/setup/common.sh"
. "$here/setup/debian-packages.sh"
. "$here/setup/node.sh"
. "$here/setup/npm-tools.sh"
. "$here/setup/cargo-tools.sh"
. "$here/setup/wasm-target.sh"
. "$here/setup/interop-python.sh"
. "$here/setup/interop-javascript.sh"
. "$here/setup/interop-java.sh"
. "$here/setup/go.sh"
. "$here/setup/interop-tools.sh"
. "$here/setup/postgres.sh"
. "$here/setup/valgrind.sh"

check_machine() {
    [[ $(uname -sm) == "Linux x86_64" ]] || die "this set-up knows Linux on x86_64 only, this machine is $(uname -sm)"
    command -v flock >/dev/null || die "flock is missing: apt-get install -y util-linux"
    command -v cargo >/dev/null || die "Rust is missing: install it with rustup (see https://rustup.rs)"
    command -v cc >/dev/null || die "a C compiler is missing: apt-get install -y build-essential"
}

# Two set-ups at a time would do the same work twice: the second one waits, and then finds everything done.
take_turn() {
    exec 9>"$cache/lock"
    flock --nonblock 9 || { say "waiting for another set-up that works in $cache"; flock 9; }
    : >"$log"
    # What an interrupted set-up left; finished installations have their final names. Its npm may still be writing there:
    # then the next set-up removes the rest.
    rm -rf "$cache"/*.partial.* 2>/dev/null || true
}

write_env_file() {
    local draft=$env_file.partial.$$
    {
        echo "# Written by deploy/local/setup.sh."
        export_line SPILLWAY_CACHE "$cache"
        export_line SPILLWAY_NODE "$node"
        export_line SPILLWAY_NODE_MODULES "$node_modules"
        export_line SPILLWAY_WORKERD "$node_modules/@cloudflare/workerd-linux-64/bin/workerd"
        [[ -z $chdb_library ]] || export_line SPILLWAY_CHDB_LIBRARY "$chdb_library"
        export_line ESBUILD_BIN "$node_modules/@esbuild/linux-x64/bin/esbuild"
        export_line WASM_OPT_BIN "$wasm_opt"
        export_line WASM_BINDGEN_BIN "$wasm_bindgen"
        export_line SPILLWAY_WORKER_BUILD "$worker_build"
        export_line SPILLWAY_WASM_KIND "$wasm_kind"
        export_exporters
        collector_exporter=$(find_go_program clickhouse-exporter)
        [[ -z $collector_exporter ]] || export_line SPILLWAY_COLLECTOR_EXPORTER "$collector_exporter"
        [[ -z $postgres_bin ]] || export_line SPILLWAY_POSTGRES_BIN "$postgres_bin"
        export_line SPILLWAY_CARGO_DENY "${cargo_deny-}"
        export_line SPILLWAY_CARGO_MACHETE "${cargo_machete-}"
        export_line SPILLWAY_WASM_SYSROOT "$wasm_sysroot"
        export_line SPILLWAY_CARGO_FUZZ "${cargo_fuzz-}"
        export_line SPILLWAY_VALGRIND "${valgrind-}"
        [[ -z ${valgrind_lib-} ]] || export_line VALGRIND_LIB "$valgrind_lib"
        [[ $wasm_kind != debian ]] || export_line SPILLWAY_WASM_BIN "$wasm_bin"
    } >"$draft"
    mv "$draft" "$env_file"
}

case "${1-}" in
    "" | --with-checkers | --with-fuzzer | --with-valgrind | --for-tests | --with-all-exporters | --with-collector) extras=${1-} ;;
    --print-env-file) echo "$env_file"; exit ;;
    *) die "unknown argument $1; usage: setup.sh [--with-checkers | --with-fuzzer | --with-valgrind | --for-tests | --with-all-exporters | --with-collector | --print-env-file]" ;;
esac

check_machine
{ mkdir -p "$cache" && : >>"$cache/lock"; } 2>/dev/null ||
    die "cannot write to $cache: choose another folder with SPILLWAY_CACHE"
take_turn
cd "$root" # rustup chooses the toolchain by the folder

# What may lack a package manager comes first, what takes minutes last.
set_up_node
set_up_npm_tools
set_up_engine
set_up_wasm_target
set_up_worker_build
set_up_wasm_bindgen
case $extras in
    --with-checkers) set_up_checkers ;;
    --with-fuzzer) set_up_fuzzer ;;
    --with-valgrind) set_up_valgrind ;;
    --for-tests)
        set_up_postgres
        set_up_exporters
        ;;
    --with-all-exporters) set_up_all_exporters ;;
    --with-collector) set_up_go_program clickhouse-exporter "the Collector's ClickHouse exporter" ;;
esac
find_postgres
write_env_file
say "everything is in place in $cache"
