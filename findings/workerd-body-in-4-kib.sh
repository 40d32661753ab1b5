#!/usr/bin/env bash
# workerd 1.20261117.1 (npm): a request's body comes in pieces of at most 4 KiB unless the reader brings its own buffer.
# Body.getReader() yields 4,096 bytes at a time, so a body of 8 MiB costs over 2,000 reads and as many promises. A reader of mode
# "byob" with a buffer of 64 KiB takes what has arrived and needs a fraction of the reads. A stage such as
# pipeThrough(new TransformStream()) hands on the same small pieces.
# Seen on 2026-11-30 for a body of 8 MiB:
#   default: over 2000 reads, largest 4096
#   byob: under 1000 reads, largest 65536
#   transform: over 2000 reads, largest 4096
set -euo pipefail

folder=$(mktemp -d)
workerd=
trap '[[ -z $workerd ]] || kill "$workerd"; rm -rf "$folder"' EXIT
cd "$folder"
npm install --loglevel=error --no-audit --no-fund workerd@1.20261117.1 >npm.log

cat >worker.js <<'JS'
export default {
  async fetch(request) {
    const kind = new URL(request.url).pathname.slice(1);
    const body = kind === "transform" ? request.body.pipeThrough(new TransformStream()) : request.body;
    const reader = body.getReader(kind === "byob" ? { mode: "byob" } : undefined);
    let [reads, largest, buffer] = [0, 0, new ArrayBuffer(65536)];
    for (;;) {
      const { done, value } = await (kind === "byob" ? reader.read(new Uint8Array(buffer)) : reader.read());
      if (done) break;
      reads += 1;
      largest = Math.max(largest, value.length);
      buffer = value.buffer;
    }
    // Arrival decides the exact number of reads, so only its order of magnitude is told.
    const amount = reads > 2000 ? "over 2000" : reads < 1000 ? "under 1000" : "1000 to 2000";
    return new Response(`${kind}: ${amount} reads, largest ${largest}\n`);
  },
};
JS
cat >config.capnp <<'CAPNP'
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = .main)],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
const main :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed "worker.js")],
  compatibilityDate = "2026-11-17",
);
CAPNP

# The package's JavaScript launcher would stand between this script and the server, so the binary is started itself.
binary=$(node -p 'require("workerd").default')
"$binary" serve config.capnp --control-fd=3 3>control 2>errors &
workerd=$!
for _ in {1..300}; do
  port=$(sed -n 's/.*"port":\([0-9]*\).*/\1/p' control)
  [[ -z $port ]] || break
  sleep 0.1
done
[[ -n $port ]] || { cat errors >&2; exit 1; }

head -c 8388608 /dev/zero >body
seen=$(for kind in default byob transform; do
  curl --silent --show-error --fail --header 'Expect:' --data-binary @body "http://127.0.0.1:$port/$kind"
done)
printf '%s\n' "$seen"

stated='default: over 2000 reads, largest 4096
byob: under 1000 reads, largest 65536
transform: over 2000 reads, largest 4096'
[[ $seen == "$stated" ]] || { echo 'changed: the reads differ from those in the head'; exit 1; }
echo 'as stated'
