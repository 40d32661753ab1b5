# shellcheck shell=bash disable=SC2034,SC2154 # setup.sh and its parts share their variables
# Rust's standard library for wasm32-unknown-unknown, compiled here so that panics unwind: a panic then ends one request.
# As it is shipped it aborts, and a panic fails every request that the isolate has in hand.
#
# SPILLWAY_WASM_TOOLCHAIN says where the compiler and the library's source come from:
#   rustup   from rustup, for the toolchain of this checkout; without the source, panics abort
#   debian   from Debian 12's packages of a newer Rust, unpacked in the cache
#   auto     from rustup, or, where rustup cannot download, from Debian (the default)

wasm=wasm32-unknown-unknown
# The numbers change when what is unpacked or built below changes.
debian_rust=$cache/debian-rust-2
debian_rust_packages=$cache/debian-rust-packages
unwinding_rust=$cache/unwinding-rust-1

# Sets `wasm_kind` to rustup or debian, for debian also `wasm_bin`, the folder of its rustc; and `wasm_sysroot`, where the
# library is, or nothing where panics abort.
set_up_wasm_target() {
    case ${SPILLWAY_WASM_TOOLCHAIN:-auto} in
        rustup) wasm_kind=rustup ;;
        debian) wasm_kind=debian ;;
        auto) choose_toolchain ;;
        *) die "SPILLWAY_WASM_TOOLCHAIN is $SPILLWAY_WASM_TOOLCHAIN; it can be rustup, debian or auto" ;;
    esac
    "set_up_${wasm_kind}_wasm"
}

choose_toolchain() {
    wasm_kind=rustup
    if rust_has_wasm && rust_has_source; then return; fi
    if [[ -d $debian_rust ]] || { ! rustup_completes_rust && fetch_debian_rust; }; then
        wasm_kind=debian
    fi
}

set_up_rustup_wasm() {
    local version
    rustup_completes_rust || rust_has_wasm ||
        die "rustup could not add the wasm target: run rustup target add $wasm (Debian 12 has it too, as rustc-web)"
    if ! rust_has_source; then
        wasm_sysroot=
        say "there is no rust-src, so the Worker is built to abort: one panic fails all that its isolate has in hand" \
            "(mend it with: rustup component add rust-src)"
        return
    fi
    version=$(rustc -vV | sha256sum)
    wasm_sysroot=$unwinding_rust-${version:0:12}
    if [[ -d $wasm_sysroot ]]; then return; fi
    say "compiling Rust's wasm library so that panics unwind (half a minute)"
    install_as "$wasm_sysroot" build_wasm_library rustc
}

rustup_completes_rust() {
    if ! rust_has_wasm; then
        rustup_adds "the wasm target (20 MB)" target add "$wasm" && rust_has_wasm || return
    fi
    if ! rust_has_source; then
        rustup_adds "the source of Rust's library (4 MB)" component add rust-src && rust_has_source
    fi
}

# Once a set-up: where rustup cannot download, it may take minutes to say so.
rustup_adds() {
    local what=$1
    shift
    [[ -z ${rustup_failed-} ]] && command -v rustup >/dev/null || return
    say "adding $what with rustup"
    quietly timeout 300 rustup "$@" || { rustup_failed=yes && return 1; }
}

rust_has_wasm() {
    local libraries
    libraries=$(rustc --print target-libdir --target "$wasm" 2>/dev/null) &&
        compgen -G "$libraries/libstd-*.rlib" >/dev/null
}

rust_has_source() {
    local sysroot
    sysroot=$(rustc --print sysroot 2>/dev/null) && [[ -f $sysroot/lib/rustlib/src/rust/library/std/Cargo.toml ]]
}

set_up_debian_wasm() {
    wasm_bin=$debian_rust/bin
    wasm_sysroot=$debian_rust/usr
    if [[ -d $debian_rust ]]; then return; fi
    fetch_debian_rust ||
        die "apt has no package rustc-web (Debian 12 has): where rustup can download, run rustup target add $wasm"
    say "setting up Debian's Rust for the Worker's build, and compiling its wasm library (about 2 minutes)"
    install_as "$debian_rust" build_debian_rust
    rm -r "$debian_rust_packages"
}

fetch_debian_rust() {
    local partial=$debian_rust_packages.partial.$$
    if [[ -d $debian_rust_packages ]]; then return; fi
    say "fetching Debian's Rust for the Worker's build (160 MB)"
    mkdir "$partial" &&
        download_packages "$partial" name_rust_packages &&
        mv -T "$partial" "$debian_rust_packages"
}

build_debian_rust() {
    local folder=$1
    mkdir "$folder/bin"
    unpack_rust "$debian_rust_packages" "$folder"
    write_wrapper "$folder" rustc
    write_wrapper "$folder" cargo-clippy
    build_wasm_library "$folder/bin/rustc" "$folder/usr"
}

name_rust_packages() {
    local needed llvm
    needed=$(packages_needed_by libstd-rust-web-dev) || return
    llvm=$(grep -om1 '^libllvm[0-9]*' <<<"$needed") || return
    echo rustc-web rust-web-src rust-web-clippy "lld-${llvm#libllvm}"
    not_installed <<<"$needed"
}

unpack_rust() {
    local packages=$1 folder=$2 package linker
    for package in "$packages"/*.deb; do
        case $package in
            # The library's source is a tenth of what is in there.
            */rust-web-src_*)
                dpkg-deb --fsys-tarfile "$package" |
                    tar -x -C "$folder" --wildcards './usr/src/rustc-*/library' ./usr/lib/rustlib/src
                ;;
            *) dpkg-deb -x "$package" "$folder" ;;
        esac
    done
    linker=("$folder"/usr/bin/wasm-ld-*)
    ln -s "../usr/bin/${linker[0]##*/}" "$folder/bin/wasm-ld"
}

# The programs look for their libraries in /usr/lib.
write_wrapper() {
    local folder=$1 program=$2
    cat >"$folder/bin/$program" <<'WRAPPER'
#!/bin/bash
usr=$(dirname -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")")/usr
export LD_LIBRARY_PATH=$usr/lib/x86_64-linux-gnu${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
WRAPPER
    echo "exec \"\$usr/bin/$program\" \"\$@\"" >>"$folder/bin/$program"
    chmod +x "$folder/bin/$program"
}

# Compiles the library as a dependency of an empty crate, and puts it where rustc, told of that sysroot, looks for it.
#   build_wasm_library RUSTC SYSROOT
build_wasm_library() {
    local rustc=$1 sysroot=$2 crate=$2/empty-crate libraries=$2/lib/rustlib/$wasm/lib
    mkdir -p "$crate/src" "$libraries"
    printf '[package]\nname = "empty-crate"\nedition = "2021"\n[workspace]\n' >"$crate/Cargo.toml"
    echo '#![no_std]' >"$crate/src/lib.rs"
    # -Z and the library's own features are for nightly toolchains, unless RUSTC_BOOTSTRAP is set. It is set for the
    # library alone: many crates would take it for a nightly compiler. The bitcode is for link-time optimization.
    must "Rust's wasm library could not be compiled" \
        env RUSTC="$rustc" RUSTC_BOOTSTRAP=1 CARGO_ENCODED_RUSTFLAGS=$'-Cpanic=unwind\x1f-Cembed-bitcode=yes' \
        cargo build --release --manifest-path "$crate/Cargo.toml" --target "$wasm" --target-dir "$crate/target" \
        -Zbuild-std=std,panic_unwind,proc_macro
    mv "$crate/target/$wasm/release/deps"/*.rlib "$libraries/"
    rm -r "$libraries"/libempty_crate-*.rlib "$crate"
    "$rustc" -vV >"$sysroot/rustc-version"
}
