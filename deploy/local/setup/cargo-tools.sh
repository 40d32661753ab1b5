# shellcheck shell=bash disable=SC2034,SC2154 # setup.sh and its parts share their variables
# The tools that cargo compiles: worker-build, wasm-bindgen in the version of Cargo.lock, and those that check.

worker_build_version=0.8.7

# Sets `worker_build`.
set_up_worker_build() {
    local folder=$cache/worker-build-$worker_build_version
    worker_build=$folder/bin/worker-build
    if [[ -d $folder ]]; then return; fi
    say "compiling worker-build $worker_build_version, which packs the Worker (2 to 4 minutes on two cores)"
    (
        find_openssl
        install_as "$folder" cargo_install worker-build --version "=$worker_build_version" --locked --bin worker-build
    )
}

# Sets `wasm_bindgen`. The tool and the library of that name must be of one version.
set_up_wasm_bindgen() {
    local version folder
    version=$(awk -F '"' '/^name = "wasm-bindgen"$/ { getline; print $2; exit }' "$root/Cargo.lock" 2>/dev/null) || true
    [[ -n $version ]] || die "$root/Cargo.lock does not tell the version of wasm-bindgen: run cargo generate-lockfile"
    folder=$cache/wasm-bindgen-$version
    wasm_bindgen=$folder/bin/wasm-bindgen
    if [[ -d $folder ]]; then return; fi
    say "compiling wasm-bindgen $version, which Cargo.lock asks for (1 to 2 minutes on two cores)"
    install_as "$folder" cargo_install wasm-bindgen-cli --version "=$version" --bin wasm-bindgen
}

cargo_deny_version=0.20.2
cargo_machete_version=0.9.2

# Sets `cargo_deny` and `cargo_machete`, which only `make deny` needs.
set_up_checkers() {
    local deny=$cache/cargo-deny-$cargo_deny_version machete=$cache/cargo-machete-$cargo_machete_version
    cargo_deny=$deny/bin/cargo-deny
    cargo_machete=$machete/bin/cargo-machete
    if [[ ! -d $deny ]]; then
        say "compiling cargo-deny $cargo_deny_version, which checks the dependencies (2 to 3 minutes on two cores)"
        install_as "$deny" cargo_install cargo-deny --version "=$cargo_deny_version" --locked
    fi
    if [[ ! -d $machete ]]; then
        say "compiling cargo-machete $cargo_machete_version, which finds unused ones (1 minute on two cores)"
        install_as "$machete" cargo_install cargo-machete --version "=$cargo_machete_version" --locked
    fi
}

cargo_fuzz_version=0.13.2

# Sets `cargo_fuzz`, which only `make fuzz` needs.
set_up_fuzzer() {
    local folder=$cache/cargo-fuzz-$cargo_fuzz_version
    cargo_fuzz=$folder/bin/cargo-fuzz
    command -v c++ >/dev/null || die "a C++ compiler is missing, for libFuzzer: apt-get install -y build-essential"
    if [[ -d $folder ]]; then return; fi
    say "compiling cargo-fuzz $cargo_fuzz_version (half a minute on two cores)"
    install_as "$folder" cargo_install cargo-fuzz --version "=$cargo_fuzz_version" --locked
}

#   cargo_install CRATE OPTION ... FOLDER
cargo_install() {
    local crate=$1 folder=${*: -1}
    # One target folder for all attempts: what an interrupted one compiled is not lost. Not optimized, since these tools
    # run for a second and would compile twice as long.
    must "cargo could not install $crate" \
        env CARGO_PROFILE_RELEASE_OPT_LEVEL=0 cargo install "${@:1:$#-1}" --no-track --root "$folder" --target-dir "$cache/cargo-target"
    rm -rf "$cache/cargo-target"
}

# worker-build can download over TLS and so links OpenSSL, though nothing here lets it. Where its headers are not
# installed, they come from the package, unpacked in the cache, and the library is linked statically.
find_openssl() {
    local openssl=$cache/openssl
    if [[ -n ${OPENSSL_DIR-} ]] || pkg-config --exists openssl 2>/dev/null; then return; fi
    [[ -d $openssl ]] || install_as "$openssl" unpack_openssl
    export OPENSSL_STATIC=1 OPENSSL_LIB_DIR=$openssl/lib OPENSSL_INCLUDE_DIR=$openssl/include
}

unpack_openssl() {
    local folder=$1 triple=x86_64-linux-gnu
    download_packages "$folder" name_openssl_package ||
        die "OpenSSL's headers are missing: apt-get install -y pkg-config libssl-dev"
    dpkg-deb -x "$folder"/libssl-dev_*.deb "$folder"
    mv "$folder/usr/include" "$folder/include"
    cp -r "$folder/include/$triple/openssl" "$folder/include/"
    mkdir "$folder/lib"
    mv "$folder/usr/lib/$triple"/*.a "$folder/lib/"
    rm -r "${folder:?}/usr" "$folder"/*.deb
}

name_openssl_package() {
    echo libssl-dev
}
