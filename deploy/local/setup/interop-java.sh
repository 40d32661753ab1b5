# shellcheck shell=bash disable=SC2034,SC2154 # setup.sh and its parts share their variables
# Java's exporters: the jars that tests/interop/java/pom.xml asks for, and its program, compiled.

# 11 is what the JDK's HttpClient needs, 17 the oldest that is tried.
oldest_java=17

java_folder() {
    local hash
    hash=$(cat "$interop/java/pom.xml" "$interop/java/Export.java" | sha256sum)
    echo "$cache/interop-java-${hash:0:12}"
}

set_up_java() {
    local folder
    folder=$(java_folder)
    if [[ -d $folder ]]; then return; fi
    find_java
    say "installing OpenTelemetry's Java SDK and agent by Maven (35 MB)"
    install_as "$folder" install_java_exporters
}

# Sets `javac`, with `java` beside it. Debian's packages need root.
find_java() {
    if is_new_enough_javac && command -v mvn >/dev/null; then return; fi
    { command -v apt-get >/dev/null && find_root; } ||
        die "there is no JDK $oldest_java with Maven: apt-get install -y openjdk-17-jdk-headless maven"
    say "installing a JDK and Maven with apt (200 MB)"
    quietly "${as_root[@]}" apt-get update || true # old lists may do
    must "apt could not install a JDK and Maven" "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends openjdk-17-jdk-headless maven
    is_new_enough_javac || die "the JDK that apt has installed is older than $oldest_java"
}

is_new_enough_javac() {
    local version
    javac=$(command -v javac) && javac=$(readlink -f -- "$javac") || return
    version=$("$javac" -version 2>&1) && [[ $version =~ ([0-9]+) ]] && ((BASH_REMATCH[1] >= oldest_java))
}

install_java_exporters() {
    local folder=$1
    must "Maven could not install the jars" \
        mvn --batch-mode --file "$interop/java/pom.xml" \
        org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies "-DoutputDirectory=$folder/lib"
    mkdir "$folder/agent" "$folder/classes"
    mv "$folder/lib"/opentelemetry-javaagent-*.jar "$folder/agent/"
    must "javac could not compile the exporter's program" \
        "$javac" -d "$folder/classes" -cp "$folder/lib/*" "$interop/java/Export.java"
    ln -s "$(dirname -- "$javac")/java" "$folder/java"
}
