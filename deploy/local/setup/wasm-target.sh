# shellcheck shell=bash disable=SC2034,SC2154 # setup.sh and its parts share their variables
# Rust's standard library for wasm32-unknown-unknown. SPILLWAY_WASM_TOOLCHAIN says where it comes from:
#   rustup   from rustup, for the toolchain of this checkout
#   debian   from Debian 12's packages of a newer Rust, unpacked in the cache
#   auto     from rustup, or, where rustup cannot download, from Debian (the default)

wasm=wasm32-unknown-unknown
# The number changes when what is unpacked or built below changes.
debian_rust=$cache/debian-rust-1

# Sets `wasm_kind` to rustup or debian, for debian also `wasm_bin`, the folder of its rustc.
set_up_wasm_target() {
    wasm_kind=${SPILLWAY_WASM_TOOLCHAIN:-auto}
    wasm_bin=$debian_rust/bin
    case $wasm_kind in
        rustup)
            rust_has_wasm || rustup_adds_wasm || die "rustup could not add the wasm target: run rustup target add $wasm"
            ;;
        debian) ;;
        auto)
            wasm_kind=rustup
            if ! rust_has_wasm && { [[ -d $debian_rust ]] || ! rustup_adds_wasm; }; then
                wasm_kind=debian
            fi
            ;;
        *) die "SPILLWAY_WASM_TOOLCHAIN is $wasm_kind; it can be rustup, debian or auto" ;;
    esac
    if [[ $wasm_kind == rustup || -d $debian_rust ]]; then return; fi
    say "setting up Debian's Rust for the Worker's build (160 MB), and compiling its wasm library (about 2 minutes)"
    install_as "$debian_rust" build_debian_rust
}

rust_has_wasm() {
    local libraries
    libraries=$(rustc --print target-libdir --target "$wasm" 2>/dev/null) &&
        compgen -G "$libraries/libstd-*.rlib" >/dev/null
}

rustup_adds_wasm() {
    command -v rustup >/dev/null || return
    say "adding the wasm target to Rust with rustup (20 MB)"
    quietly timeout 300 rustup target add "$wasm" && rust_has_wasm
}

build_debian_rust() {
    local folder=$1 packages=$1/packages
    mkdir "$packages" "$folder/bin"
    download_packages "$packages" name_rust_packages ||
        die "the wasm target is missing, and apt has no package rustc-web (Debian 12 has): where rustup can download, run rustup target add $wasm"
    unpack_rust "$packages" "$folder"
    rm -r "$packages"
    write_wrapper "$folder" rustc
    write_wrapper "$folder" cargo-clippy
    build_wasm_library "$folder"
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

# Debian ships no compiled library for wasm: compile it as a dependency of an empty crate, and put it where that rustc
# looks for it.
build_wasm_library() {
    local folder=$1 crate=$1/empty-crate libraries
    libraries=$folder/usr/lib/rustlib/$wasm/lib
    mkdir -p "$crate/src" "$libraries"
    printf '[package]\nname = "empty-crate"\nedition = "2021"\n[workspace]\n' >"$crate/Cargo.toml"
    echo '#![no_std]' >"$crate/src/lib.rs"
    # -Z and the library's own features are for nightly toolchains, unless RUSTC_BOOTSTRAP is set. The bitcode is for
    # link-time optimization.
    must "the wasm library of Debian's Rust could not be compiled" \
        env RUSTC="$folder/bin/rustc" RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Cembed-bitcode=yes CARGO_PROFILE_RELEASE_PANIC=abort \
        cargo build --release --manifest-path "$crate/Cargo.toml" --target "$wasm" --target-dir "$crate/target" \
        -Zbuild-std=std,panic_abort,proc_macro
    mv "$crate/target/$wasm/release/deps"/*.rlib "$libraries/"
    rm -r "$libraries"/libempty_crate-*.rlib "$crate"
}
