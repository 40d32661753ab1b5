# shellcheck shell=bash disable=SC2034,SC2154 # setup.sh and its parts share their variables
# JavaScript's exporters: a folder of tests/interop with a lock file each; and the browser.

# Prints the packages of a folder of tests/interop, if they are there.
#   find_node_modules FOLDER
find_node_modules() {
    local modules
    modules=$(folder_for "interop-$1" "$interop/$1")/node_modules
    [[ ! -d $modules ]] || echo "$modules"
}

#   set_up_node_modules FOLDER WHAT
set_up_node_modules() {
    local folder
    folder=$(folder_for "interop-$1" "$interop/$1")
    if [[ -d $folder ]]; then return; fi
    find_npm
    say "installing $2 from npm"
    install_as "$folder" npm_ci "$interop/$1"
}

set_up_runtimes() {
    set_up_node_modules runtimes "Deno and Bun (200 MB)"
    runs_here "$(find_bun)" --version || die "npm's Bun does not run on this machine"
    runs_here "$(find_deno)" --version || die "npm's Deno does not run on this machine"
}

runs_here() {
    quietly "$@"
}

find_bun() {
    echo "$(find_node_modules runtimes)/@oven/bun-linux-x64/bin/bun"
}

find_deno() {
    echo "$(find_node_modules runtimes)/@deno/linux-x64-glibc/deno"
}

# Browsers of npm packages are downloaded by install scripts from elsewhere, so it is the machine's, or Debian's.
set_up_browser() {
    set_up_node_modules browser "OpenTelemetry's SDK for browsers (10 MB)"
    if find_chromium >/dev/null; then return; fi
    { command -v apt-get >/dev/null && find_root; } || die "there is no Chromium: apt-get install -y chromium"
    say "installing Chromium with apt (100 MB)"
    quietly "${as_root[@]}" apt-get update || true # old lists may do
    must "apt could not install Chromium" \
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium
}

find_chromium() {
    local name
    for name in chromium chromium-browser google-chrome; do
        command -v "$name" && return
    done
    return 1
}
