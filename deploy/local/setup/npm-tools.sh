# shellcheck shell=bash disable=SC2034,SC2154 # setup.sh and its parts share their variables
# The npm packages: the Workers runtime and the tools of the Worker's build, and the ClickHouse engine.

# A folder in the cache for what PACKAGE_FOLDER's lock file asks for: another lock file, another folder.
folder_for() {
    local name=$1 package_folder=$2 hash
    hash=$(sha256sum "$package_folder/package-lock.json")
    echo "$cache/$name-${hash:0:12}"
}

# Sets `node_modules` (workerd, miniflare, esbuild, binaryen) and `wasm_opt`.
set_up_npm_tools() {
    local folder
    folder=$(folder_for npm-tools "$tools")
    node_modules=$folder/node_modules
    if [[ ! -d $folder ]]; then
        find_npm
        say "installing workerd, miniflare, esbuild and binaryen from npm (90 MB)"
        install_as "$folder" npm_ci "$tools"
    fi
    write_wasm_opt
}

# npm's wasm-opt is a script that asks for any `node`: give it ours.
write_wasm_opt() {
    local draft=$cache/wasm-opt.partial.$$
    wasm_opt=$cache/wasm-opt
    printf '#!/bin/sh\nexec "%s" "%s" "$@"\n' "$node" "$node_modules/binaryen/bin/wasm-opt" >"$draft"
    chmod +x "$draft"
    mv "$draft" "$wasm_opt"
}

# The URL of a stack that `make run` started (.run/env) is no server to rely on.
has_server_url() {
    [[ -n ${CLICKHOUSE_URL-} && ${CLICKHOUSE_URL-} != "${SPILLWAY_RUN_CLICKHOUSE_URL-}" ]]
}

# Sets `chdb_library`, or leaves it empty where a real ClickHouse is at hand. SPILLWAY_WITH_ENGINE asks for it anyway: the
# engine has tests of its own.
set_up_engine() {
    local folder
    folder=$(folder_for clickhouse-engine "$tools/engine")
    chdb_library=$folder/node_modules/@chdb/lib-linux-x64-gnu/libchdb.so
    if [[ -d $folder ]]; then return; fi
    if [[ -z ${SPILLWAY_WITH_ENGINE-} ]] && { has_server_url || command -v clickhouse >/dev/null; }; then
        chdb_library=
        return
    fi
    find_npm
    say "installing the ClickHouse engine (libchdb) from npm, since there is no clickhouse on PATH (170 MB)"
    install_as "$folder" npm_ci "$tools/engine"
}
