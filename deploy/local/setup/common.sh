# shellcheck shell=bash disable=SC2034,SC2154 # setup.sh and its parts share their variables
# What all parts of the set-up share: where things go, what is said, and how an installation becomes final.

cache=${SPILLWAY_CACHE:-${XDG_CACHE_HOME:-${HOME:?HOME is not set}/.cache}/spillway}
[[ $cache == /* ]] || cache=$PWD/$cache
env_file=$cache/env
log=$cache/setup.log

say() {
    echo "setup: $*"
}

die() {
    echo "setup: stopped: $*" >&2
    exit 1
}

# Runs a command with its output in the log. The lock (descriptor 9) is not passed on: a compiler cache that the command
# leaves in the background would hold it for ever.
quietly() {
    { printf '\n+ %s\n' "$*"; "$@"; } >>"$log" 2>&1 </dev/null 9>&-
}

# quietly, but a failure ends the set-up: the end of the log, then one line.
#   must "what could not be done and what may help" command ...
must() {
    local failure=$1
    shift
    quietly "$@" && return
    tail -n 20 "$log" | sed 's/^/    /' >&2
    die "$failure (the whole log: $log)"
}

# Lets "command ... FOLDER" fill a folder, which gets its final name only when it is complete. So a folder with its final
# name is always whole, whenever the set-up was interrupted; the version is part of the name.
install_as() {
    local final=$1 partial=$1.partial.$$
    shift
    mkdir "$partial"
    "$@" "$partial"
    mv -T "$partial" "$final"
}

export_line() {
    local quote="'\\''"
    printf "export %s='%s'\n" "$1" "${2//\'/$quote}"
}
