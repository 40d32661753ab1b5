# shellcheck shell=bash disable=SC2034,SC2154 # setup.sh and its parts share their variables
# Python's exporters: each requirements file of tests/interop/python has an environment of its own.

# The folder for a requirements file. An installation is made for one Python, and in vain for another.
#   python_folder NAME REQUIREMENTS
python_folder() {
    local hash
    hash=$({ real_python; python3 --version; cat "$interop/python/$2"; } | sha256sum)
    echo "$cache/$1-${hash:0:12}"
}

# Prints the program itself: what is on PATH may be a shim that answers differently in other folders.
real_python() {
    python3 -c 'import sys; print(sys.executable)'
}

# Prints the Python of an installation, if it is there.
#   find_python NAME REQUIREMENTS
find_python() {
    local python
    command -v python3 >/dev/null || return 0
    python=$(python_folder "$1" "$2")/bin/python
    [[ ! -e $python ]] || echo "$python"
}

#   set_up_python NAME REQUIREMENTS WHAT
set_up_python() {
    local folder
    command -v python3 >/dev/null || install_python
    folder=$(python_folder "$1" "$2")
    if [[ -d $folder ]]; then return; fi
    say "installing $3 from PyPI (4 to 10 MB)"
    install_as "$folder" install_python_packages "$interop/python/$2"
}

install_python() {
    { command -v apt-get >/dev/null && find_root; } || die "Python is missing: install python3 and python3-venv"
    say "installing Python with apt, since there is none"
    quietly "${as_root[@]}" apt-get update || true # old lists may do
    must "apt could not install Python" \
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3
}

# Makes FOLDER/bin/python, a Python that has the packages: a virtual environment, or, where Debian's Python comes without
# venv, a script that names a folder of packages.
#   install_python_packages REQUIREMENTS FOLDER
install_python_packages() {
    local requirements=$1 folder=$2 python pip
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
        env PIP_USER=0 "${pip[@]}" install --only-binary :all: --requirement "$requirements" "$@"
}
