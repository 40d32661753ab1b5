#!/bin/sh
# Runs Export.java, which set-up has compiled into SPILLWAY_INTEROP_JAVA, with the sender that the first argument names.
set -eu
folder=$SPILLWAY_INTEROP_JAVA
provider=-Dio.opentelemetry.sdk.common.export.HttpSenderProvider=io.opentelemetry.exporter.sender
case $1 in
    jdk) option=$provider.jdk.internal.JdkHttpSenderProvider ;;
    okhttp) option=$provider.okhttp.internal.OkHttpHttpSenderProvider ;;
    agent)
        option=-javaagent:$(echo "$folder"/agent/*.jar)
        # The agent has an SDK of its own, and is given the API alone.
        export OTEL_BSP_SCHEDULE_DELAY=100
        ;;
esac
exec "$folder/java" "$option" '-Djava.util.logging.SimpleFormatter.format=%4$s: %5$s%6$s%n' -Xmx512m -XX:TieredStopAtLevel=1 -cp "$folder/classes:$folder/lib/*" Export "$@"
