# shellcheck shell=bash disable=SC2034,SC2154 # setup.sh and its parts share their variables
# Valgrind, by which `make instructions` counts: the machine's, else Debian's package, taken apart in the cache.

valgrind_packages() {
    echo valgrind
}

# Sets `valgrind`, and `valgrind_lib` where it does not find its tools by itself.
set_up_valgrind() {
    local folder=$cache/valgrind
    valgrind_lib=
    if valgrind=$(command -v valgrind) && "$valgrind" --version >/dev/null 2>&1; then return; fi
    valgrind=$folder/usr/bin/valgrind.bin
    valgrind_lib=$folder/usr/libexec/valgrind
    if [[ -d $folder ]]; then return; fi
    say "fetching Debian's valgrind (20 MB)"
    install_as "$folder" unpack_valgrind
}

unpack_valgrind() {
    local folder=$1 package
    download_packages "$folder" valgrind_packages || die "valgrind is missing: apt-get install -y valgrind"
    for package in "$folder"/valgrind_*.deb; do
        must "Debian's valgrind cannot be unpacked" dpkg-deb --extract "$package" "$folder"
        rm "$package"
    done
    must "Debian's valgrind does not run on this machine" \
        env VALGRIND_LIB="$folder/usr/libexec/valgrind" "$folder/usr/bin/valgrind.bin" --tool=callgrind --callgrind-out-file=/dev/null true
}
