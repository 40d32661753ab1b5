# shellcheck shell=bash disable=SC2034,SC2154 # setup.sh and its parts share their variables
# The exporters that the interop tests drive, in the versions that are pinned in tests/interop and here.

interop=$root/tests/interop
telemetrygen_module=github.com/open-telemetry/opentelemetry-collector-contrib/cmd/telemetrygen
telemetrygen_version=v0.161.0
telemetrygen_folder=$cache/telemetrygen-$telemetrygen_version

# Sets `interop_node_modules`, `interop_python` and `telemetrygen`; empty is what is not there.
find_exporters() {
    interop_node_modules=$(folder_for interop-node "$interop/node")/node_modules
    interop_python=
    ! command -v python3 >/dev/null || interop_python=$(python_folder)/bin/python
    telemetrygen=$telemetrygen_folder/telemetrygen
    [[ -d $interop_node_modules ]] || interop_node_modules=
    [[ -e $interop_python ]] || interop_python=
    [[ -e $telemetrygen ]] || telemetrygen=
}

set_up_exporters() {
    set_up_node_exporters
    set_up_python_exporter
}

set_up_node_exporters() {
    local folder
    folder=$(folder_for interop-node "$interop/node")
    if [[ -d $folder ]]; then return; fi
    find_npm
    say "installing OpenTelemetry's JavaScript exporters from npm (4 MB)"
    install_as "$folder" npm_ci "$interop/node"
}

set_up_python_exporter() {
    local folder
    command -v python3 >/dev/null || install_python
    folder=$(python_folder)
    if [[ -d $folder ]]; then return; fi
    say "installing OpenTelemetry's Python exporter from PyPI (4 MB)"
    install_as "$folder" install_python_exporter
}

# Where there is no Go, the one test that wants telemetrygen says that it is left out.
set_up_telemetrygen() {
    if [[ -d $telemetrygen_folder ]]; then return; fi
    if ! command -v go >/dev/null; then
        say "leaving out telemetrygen, since there is no Go to compile it with"
        return
    fi
    say "compiling telemetrygen $telemetrygen_version with Go (1 to 2 minutes on two cores)"
    install_as "$telemetrygen_folder" install_telemetrygen
}

install_telemetrygen() {
    must "Go could not install telemetrygen" env "GOBIN=$1" go install "$telemetrygen_module@$telemetrygen_version"
}

install_python() {
    { command -v apt-get >/dev/null && find_root; } || die "Python is missing: install python3 and python3-venv"
    say "installing Python with apt, since there is none"
    quietly "${as_root[@]}" apt-get update || true # old lists may do
    must "apt could not install Python" \
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3
}

# Prints the program itself: what is on PATH may be a shim that answers differently in other folders.
real_python() {
    python3 -c 'import sys; print(sys.executable)'
}

# An installation is made for one Python, and in vain for another.
python_folder() {
    local hash
    hash=$({ real_python; python3 --version; cat "$interop/python/requirements.txt"; } | sha256sum)
    echo "$cache/interop-python-${hash:0:12}"
}

# Makes FOLDER/bin/python, a Python that has the exporter: a virtual environment, or, where Debian's Python comes without
# venv, a script that names a folder of packages.
#   install_python_exporter FOLDER
install_python_exporter() {
    local folder=$1 python pip
    python=$(real_python)
    if quietly "$python" -m venv "$folder"; then
        pip=("$folder/bin/python" -m pip)
        pip_install
        return
    fi
    find "$folder" -mindepth 1 -delete
    find_pip_of "$python" "$folder"
    pip_install --target "$folder/packages"
    rm -rf "$folder/debian"
    mkdir "$folder/bin"
    printf '#!/bin/sh\nPYTHONPATH=$(dirname -- "$0")/../packages exec "%s" "$@"\n' "$python" >"$folder/bin/python"
    chmod +x "$folder/bin/python"
}

# Sets `pip`: the machine's, else that of Debian's package, unpacked in FOLDER.
#   find_pip_of PYTHON FOLDER
find_pip_of() {
    local packages=$2/debian
    pip=("$1" -m pip)
    if quietly "${pip[@]}" --version; then return; fi
    mkdir "$packages"
    download_packages "$packages" name_pip_package ||
        die "Python's venv and pip are missing: apt-get install -y python3-venv"
    dpkg-deb -x "$packages"/python3-pip_*.deb "$packages"
    pip=(env "PYTHONPATH=$packages/usr/lib/python3/dist-packages" "${pip[@]}")
}

name_pip_package() {
    echo python3-pip
}

#   pip_install [OPTION ...]
pip_install() {
    # A user's setting to install for the user contradicts --target.
    must "pip could not install the exporter: is the network, or the proxy that pip is told of, all right?" \
        env PIP_USER=0 "${pip[@]}" install --only-binary :all: --requirement "$interop/python/requirements.txt" "$@"
}
