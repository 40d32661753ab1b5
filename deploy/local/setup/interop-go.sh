# shellcheck shell=bash disable=SC2034,SC2154 # setup.sh and its parts share their variables
# The exporters that Go compiles: telemetrygen, the SDK's, and two Collectors.

telemetrygen_module=github.com/open-telemetry/opentelemetry-collector-contrib/cmd/telemetrygen
telemetrygen_version=v0.161.0
telemetrygen_folder=$cache/telemetrygen-$telemetrygen_version

set_up_telemetrygen() {
    if [[ -d $telemetrygen_folder ]]; then return; fi
    find_go
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
#   go_sources_of sdk|collector|old-collector
go_sources_of() {
    case $1 in
        sdk) go_sources=("$interop/go/"{go.mod,go.sum,main.go}) ;;
        collector) go_sources=("$interop/collector/new/"{go.mod,go.sum,factories.go} "$interop/collector/drive.go") ;;
        old-collector) go_sources=("$interop/collector/old/"{go.mod,go.sum,factories.go} "$interop/collector/drive.go") ;;
    esac
}

# Prints the program, if it is there.
#   find_go_program sdk|collector|old-collector
find_go_program() {
    local go_sources program
    go_sources_of "$1"
    program=$(go_folder "interop-$1" "${go_sources[@]}")/program
    [[ ! -e $program ]] || echo "$program"
}

#   set_up_go_program sdk|collector|old-collector WHAT
set_up_go_program() {
    local go_sources folder
    go_sources_of "$1"
    folder=$(go_folder "interop-$1" "${go_sources[@]}")
    if [[ -d $folder ]]; then return; fi
    find_go
    say "compiling $2 with Go (1 to 3 minutes on two cores)"
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

# Sets `go`: the machine's, which fetches the toolchain that a module asks for.
find_go() {
    go=$(command -v go) || die "there is no Go: apt-get install -y golang-go, or install it from its makers"
}
