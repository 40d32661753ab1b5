# shellcheck shell=bash disable=SC2034,SC2154 # setup.sh and its parts share their variables
# Takes Debian packages apart in the cache: that needs no root, and changes nothing on the machine.

apt_options=(-qq -o APT::Sandbox::User=root)

# Package lists of our own, for a machine that has none or old ones.
fetch_own_package_lists() {
    local apt=$cache/apt
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
    apt_options+=(-o "Dir::State::Lists=$apt/lists" -o "Dir::Cache=$apt/cache" -o Debug::NoLocking=true)
    quietly apt-get "${apt_options[@]}" update
}

# Downloads into FOLDER the packages that the command NAMES prints.
#   download_packages FOLDER NAMES
download_packages() {
    local folder=$1 names=$2 lists packages
    command -v apt-get >/dev/null || return
    for lists in machine own; do
        [[ $lists == machine ]] || fetch_own_package_lists || return
        packages=$("$names" 2>>"$log") || continue
        # shellcheck disable=SC2086 # a list of words
        (cd "$folder" && quietly apt-get "${apt_options[@]}" download $packages) && return
    done
    return 1
}

# The packages that the given ones depend on (themselves included), by name.
packages_needed_by() {
    apt-cache "${apt_options[@]}" depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks \
        --no-replaces --no-enhances "$@" | grep -E '^[a-z0-9][^:]*$' | sort -u
}

not_installed() {
    local package
    while read -r package; do
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || echo "$package"
    done
}
