// Runs the Worker in workerd, with R2, KV and Durable Objects on disk, until standard input closes or SIGTERM comes.
//
//   node edge.mjs CONFIG.json
//
// The configuration: { port, build, persist, ready, vars, keys, bucket, s3, notificationQueue, metrics, services,
// without, outbound, kvApi }; see `EdgeConfig` in ../src/edge.rs.
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import process from "node:process";
import { serveKvApi } from "./kv-api.mjs";

const config = JSON.parse(readFileSync(process.argv[2], "utf8"));
const require = createRequire(join(process.env.SPILLWAY_NODE_MODULES, "_"));
const { Miniflare, Response, convertV4MiniflareOptions } = require("miniflare");

// Miniflare's queues cannot be pulled from, as Cloudflare's can; a Worker pushes what comes to where the origin pulls.
function queueForwarder({ pushUrl, token }) {
  return {
    name: "queue-forwarder",
    compatibilityDate: config.compatibilityDate,
    modules: [{ type: "ESModule", path: join(import.meta.dirname, "queue-forwarder.mjs") }],
    modulesRoot: import.meta.dirname,
    bindings: { PUSH_URL: pushUrl, TOKEN: token },
    queueConsumers: { notifications: { maxBatchTimeout: 0, maxRetries: 100, retryDelay: 1 } },
  };
}

// What the Worker fetches goes to a simulator of the zone, which is told where it was to go.
function zoneOutbound(url) {
  return {
    name: "zone-outbound",
    compatibilityDate: config.compatibilityDate,
    modules: [{ type: "ESModule", path: join(import.meta.dirname, "outbound.mjs") }],
    modulesRoot: import.meta.dirname,
    bindings: { ZONE: url },
  };
}

const file = (name) => join(config.build, name);
const build = {
  compatibilityDate: config.compatibilityDate,
  modules: [
    { type: "ESModule", path: file("index.js") },
    { type: "CompiledWasm", path: file("index_bg.wasm") },
  ],
  modulesRoot: config.build,
};
const r2Buckets = { OBJECTS: { id: config.bucket, s3Credentials: config.s3 } };
const bindings = {
  kvNamespaces: { KEYS: "keys" },
  r2Buckets: { ...r2Buckets },
  durableObjects: { ALLOWANCE: { className: "TenantAllowance", useSQLite: true } },
};

// The Worker behind the binding METRICS: the same build in its other role, as wrangler.operator.jsonc deploys it.
const operator = {
  name: "edge-operator",
  ...build,
  bindings: { ...config.vars, ROLE: "operator", NOTIFY_TRANSPORT: "http", NOTIFY_FALLBACK: "none" },
  r2Buckets,
};

for (const kind of Object.values(bindings)) for (const name of config.without) delete kind[name];
// Each further service binding is an HTTP server of whoever starts this.
const services = Object.fromEntries(
  Object.entries(config.services).map(([name, base]) => [
    name,
    async (request) => {
      const { pathname } = new URL(request.url);
      const [body, headers] = [await request.arrayBuffer(), Object.fromEntries(request.headers)];
      delete headers.host;
      delete headers["content-length"];
      const answer = await fetch(new URL(pathname, base), { method: request.method, headers, body });
      return new Response(await answer.arrayBuffer(), { status: answer.status, headers: answer.headers });
    },
  ]),
);
const miniflare = new Miniflare(
  convertV4MiniflareOptions({
    host: "127.0.0.1",
    port: config.port,
    cf: false,
    // For crons: GET /cdn-cgi/local/scheduled calls the Worker's.
    unsafeTriggerHandlers: true,
    resourcePersistencePath: config.persist,
    workers: [
      {
        name: "edge-ingest",
        ...build,
        bindings: config.vars,
        ...bindings,
        queueProducers: config.notificationQueue ? { NOTIFICATIONS: "notifications" } : {},
        serviceBindings: { ...(config.metrics ? { METRICS: operator.name } : {}), ...services },
        ...(config.outbound ? { outboundService: "zone-outbound" } : {}),
      },
      ...(config.outbound ? [zoneOutbound(config.outbound)] : []),
      ...(config.metrics ? [operator] : []),
      ...(config.notificationQueue ? [queueForwarder(config.notificationQueue)] : []),
    ],
  }),
);

let ending = false;
async function end() {
  if (ending) return;
  ending = true;
  await miniflare.dispose();
  process.exit(0);
}
process.on("SIGTERM", end);
process.on("SIGINT", end);
process.stdin.on("end", end).on("error", end).resume();

const url = await miniflare.ready;
let kvApiUrl = "";
if (bindings.kvNamespaces.KEYS) {
  const keys = await miniflare.getKVNamespace("KEYS");
  for (const [name, record] of Object.entries(config.keys)) await keys.put(name, JSON.stringify(record));
  kvApiUrl = await serveKvApi(keys, config.kvApi);
}
// Renamed, so that whoever waits for the file never reads half of it.
writeFileSync(`${config.ready}.partial`, JSON.stringify({ url: url.origin, kvApiUrl }));
renameSync(`${config.ready}.partial`, config.ready);
