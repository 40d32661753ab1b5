# All that the benchmark tells workerd: the Workers that are compared, their bindings, variables and key records, and the
# stubs that stand for KV, R2 and the origin. Each `Config` is a workerd process of its own; the ports are given on the
# command line.

using Workerd = import "/workerd/workerd.capnp";

const compatibilityDate :Text = "2026-11-01";

# What the edge is told. The key's limits are too high to be met; the Durable Object grants leases either way.

const edgeBindings :List(Workerd.Worker.Binding) = [
  (name = "NOTIFY_URL", text = "http://origin.invalid/v1/traces"),
  (name = "NOTIFY_SIGNING_KEY", text = "a key for benchmarks that signs nothing else"),
  (name = "KEYS", kvNamespace = "kv"),
  (name = "OBJECTS", r2Bucket = "r2"),
  (name = "ALLOWANCE", durableObjectNamespace = "TenantAllowance"),
];

const edgeObjects :List(Workerd.Worker.DurableObjectNamespace) = [
  (className = "TenantAllowance", uniqueKey = "allowance", enableSql = true),
];

const keyRecord :Text =
  "{ \"tenant\": \"bench\", \"key_id\": \"bench-1\","
  "  \"limits\": { \"requests\": { \"per_second\": 1000000 } } }";

const keyRecordWithQuota :Text =
  "{ \"tenant\": \"bench\", \"key_id\": \"bench-1\", "
  "  \"quotas\": { \"spans_per_month\": 1000000000000 },"
  "  \"limits\": { \"requests\": { \"per_second\": 1000000 } } }";

# The Workers that are compared.

const readBodyJs :Workerd.Config = (
  services = [(name = "main", worker = (
    modules = [(name = "read_body.js", esModule = embed "workers/read_body.js")],
    compatibilityDate = .compatibilityDate,
  ))],
  sockets = .sockets,
);

const readBodyModules :List(Workerd.Worker.Module) = [
  (name = "index.js", esModule = embed "read-body/build/index.js"),
  (name = "index_bg.wasm", wasm = embed "read-body/build/index_bg.wasm"),
];

const readBodyRust :Workerd.Config = (
  services = [(name = "main", worker = (
    modules = .readBodyModules,
    compatibilityDate = .compatibilityDate,
  ))],
  sockets = .sockets,
);

const checkBodyRust :Workerd.Config = (
  services = [(name = "main", worker = (
    modules = .readBodyModules,
    compatibilityDate = .compatibilityDate,
    bindings = [(name = "THEN", text = "check")],
  ))],
  sockets = .sockets,
);

const digestBodyRust :Workerd.Config = (
  services = [(name = "main", worker = (
    modules = .readBodyModules,
    compatibilityDate = .compatibilityDate,
    bindings = [(name = "THEN", text = "digest")],
  ))],
  sockets = .sockets,
);

const decodeBodyRust :Workerd.Config = (
  services = [(name = "main", worker = (
    modules = .readBodyModules,
    compatibilityDate = .compatibilityDate,
    bindings = [(name = "THEN", text = "decode")],
  ))],
  sockets = .sockets,
);

const storeBodyJs :Workerd.Config = (
  services = [
    (name = "main", worker = (
      modules = [(name = "store_body.js", esModule = embed "workers/store_body.js")],
      compatibilityDate = .compatibilityDate,
      bindings = [(name = "OBJECTS", r2Bucket = "r2")],
    )),
    .r2Stub,
  ],
  sockets = .sockets,
);

const sameCallsJs :Workerd.Config = (
  services = [
    (name = "main", worker = (
      modules = [(name = "same_calls.js", esModule = embed "workers/same_calls.js")],
      compatibilityDate = .compatibilityDate,
      bindings = [(name = "KEYS", kvNamespace = "kv"), (name = "OBJECTS", r2Bucket = "r2")],
      globalOutbound = "origin",
    )),
    .kvStub, .r2Stub, .originStub,
  ],
  sockets = .sockets,
);

const edge :Workerd.Config = (
  services = [.edgeService, .allowanceFolder, .kvStub, .r2Stub, .originStub],
  sockets = .sockets,
);

const edgeWithQuota :Workerd.Config = (
  services = [.edgeService, .allowanceFolder, .kvStubWithQuota, .r2Stub, .originStub],
  sockets = .sockets,
);

const edgeService :Workerd.Service = (name = "main", worker = (
  modules = [
    (name = "index.js", esModule = embed "../../edge-ingest/build/index.js"),
    (name = "index_bg.wasm", wasm = embed "../../edge-ingest/build/index_bg.wasm"),
  ],
  compatibilityDate = .compatibilityDate,
  bindings = .edgeBindings,
  durableObjectNamespaces = .edgeObjects,
  durableObjectStorage = (localDisk = "allowance-folder"),
  globalOutbound = "origin",
));

# Objects in SQLite want a folder.
const allowanceFolder :Workerd.Service = (name = "allowance-folder", disk = (writable = true));

const sockets :List(Workerd.Socket) = [(name = "main", http = (), service = "main")];

# The stubs: they run in the same process, and their CPU is counted.

const kvStub :Workerd.Service = (name = "kv", worker = (
  modules = [(name = "kv_stub.js", esModule = embed "workers/kv_stub.js")],
  compatibilityDate = .compatibilityDate,
  bindings = [(name = "RECORD", text = .keyRecord)],
));

const kvStubWithQuota :Workerd.Service = (name = "kv", worker = (
  modules = [(name = "kv_stub.js", esModule = embed "workers/kv_stub.js")],
  compatibilityDate = .compatibilityDate,
  bindings = [(name = "RECORD", text = .keyRecordWithQuota)],
));

const r2Stub :Workerd.Service = (name = "r2", worker = (
  modules = [(name = "r2_stub.js", esModule = embed "workers/r2_stub.js")],
  compatibilityDate = .compatibilityDate,
));

const originStub :Workerd.Service = (name = "origin", worker = (
  modules = [(name = "origin_stub.js", esModule = embed "workers/origin_stub.js")],
  compatibilityDate = .compatibilityDate,
));

# One Worker calls another: by a service binding, and over loopback HTTP. All in one process, so that both ends count.

const calls :Workerd.Config = (
  services = [
    (name = "main", worker = (
      modules = [(name = "caller.js", esModule = embed "workers/caller.js")],
      compatibilityDate = .compatibilityDate,
      bindings = [(name = "BY_BINDING", service = "origin"), (name = "BY_HTTP", service = "origin-over-http")],
    )),
    .originStub,
    (name = "origin-over-http", external = (http = ())),
  ],
  sockets = [
    (name = "main", http = (), service = "main"),
    (name = "origin", http = (), service = "origin"),
  ],
);
