# shellcheck shell=bash disable=SC2034,SC2154 # setup.sh and its parts share their variables
# The exporters that the interop tests drive, in the versions that are pinned in tests/interop and in setup/go.sh.

interop=$root/tests/interop

# What `make test` drives.
set_up_exporters() {
    set_up_node_modules node "OpenTelemetry's JavaScript exporters (4 MB)"
    set_up_python interop-python requirements.txt "OpenTelemetry's Python exporter"
    set_up_python interop-python-1.30 requirements-1.30.txt "OpenTelemetry's Python exporter of February 2025"
}

# What `make interop` drives besides. One that cannot be had is left out, and the tests say so with the reason.
set_up_all_exporters() {
    set_up_exporters
    attempt LOGFIRE set_up_python interop-logfire requirements-logfire.txt logfire
    attempt VERCEL set_up_node_modules vercel "@vercel/otel (5 MB)"
    attempt WORKER set_up_node_modules worker "@microlabs/otel-cf-workers (10 MB)"
    attempt RUNTIMES set_up_runtimes
    attempt CHROMIUM set_up_browser
    attempt JAVA set_up_java
    attempt TELEMETRYGEN set_up_telemetrygen
    attempt GO set_up_go_program sdk "OpenTelemetry's Go exporter"
    attempt COLLECTOR set_up_go_program collector "a Collector of today"
    attempt OLD_COLLECTOR set_up_go_program old-collector "a Collector of July 2025"
}

# Does a part of the set-up that may fail: the reason is kept, and the set-up goes on.
#   attempt NAME COMMAND ...
attempt() {
    local name=$1 reason status
    shift
    # Within a condition, errexit would be off in there.
    set +e
    reason=$(set -e; "$@" 2>&1 1>&8)
    status=$?
    set -e
    if ((status == 0)); then
        rm -f "$(left_out_file "$name")"
        return
    fi
    reason=${reason##*setup: stopped: }
    echo "${reason:-it ended with $status}" >"$(left_out_file "$name")"
    say "leaving out $name: $reason"
} 8>&1

left_out_file() {
    echo "$cache/interop-$1.left-out"
}

# Prints the lines of the env file for the exporters.
export_exporters() {
    local runtimes
    runtimes=$(find_node_modules runtimes)
    export_tool PYTHON "$(find_python interop-python requirements.txt)"
    export_tool PYTHON_1_30 "$(find_python interop-python-1.30 requirements-1.30.txt)"
    export_tool LOGFIRE "$(find_python interop-logfire requirements-logfire.txt)"
    export_tool NODE_MODULES "$(find_node_modules node)"
    export_tool VERCEL "$(find_node_modules vercel)"
    export_tool WORKER "$(find_node_modules worker)"
    export_tool RUNTIMES "$runtimes"
    export_tool BUN "${runtimes:+$(find_bun)}" RUNTIMES
    export_tool DENO "${runtimes:+$(find_deno)}" RUNTIMES
    export_tool BROWSER "$(find_node_modules browser)" CHROMIUM
    export_tool CHROMIUM "$([[ -z $(find_node_modules browser) ]] || find_chromium)"
    export_tool JAVA "$(! [[ -d $(java_folder) ]] || java_folder)"
    export_tool TELEMETRYGEN "$(! [[ -d $telemetrygen_folder ]] || echo "$telemetrygen_folder/telemetrygen")"
    export_tool GO "$(find_go_program sdk)"
    export_tool COLLECTOR "$(find_go_program collector)"
    export_tool OLD_COLLECTOR "$(find_go_program old-collector)"
}

# A tool, or why it is not there.
#   export_tool NAME PATH [NAME OF ITS ATTEMPT]
export_tool() {
    local reason
    if [[ -n $2 ]]; then
        export_line "SPILLWAY_INTEROP_$1" "$2"
        return
    fi
    reason=$(cat "$(left_out_file "${3-$1}")" 2>/dev/null) ||
        reason="it is not installed: deploy/local/setup.sh --with-all-exporters"
    export_line "SPILLWAY_INTEROP_$1_LEFT_OUT" "$reason"
}
