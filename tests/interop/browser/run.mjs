// Opens page.mjs in Chromium without a window, and prints what became of each batch as one line of JSON.
//
//   node run.mjs fetch|beacon ORDER
//
// ORDER is that of ../clients/mod.rs. Endpoint, key and timeout come from the variables of OpenTelemetry.
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { text } from "node:stream/consumers";

const PATIENCE_MS = 100_000;
const TIMEOUT_MS = 10_000;

const folder = mkdtempSync(join(tmpdir(), "interop-page-"));
const bundle = join(folder, "page.js");
execFileSync(
  process.env.ESBUILD_BIN,
  [
    join(import.meta.dirname, "page.mjs"),
    "--bundle",
    "--format=esm",
    "--platform=browser",
    "--log-level=error",
    `--outfile=${bundle}`,
  ],
  { env: { ...process.env, NODE_PATH: process.env.SPILLWAY_INTEROP_BROWSER }, stdio: ["ignore", "ignore", "inherit"] },
);
const settings = {
  way: process.argv[2],
  order: JSON.parse(process.argv[3]),
  endpoint: process.env.OTEL_EXPORTER_OTLP_ENDPOINT,
  headers: process.env.OTEL_EXPORTER_OTLP_HEADERS,
  service: process.env.OTEL_SERVICE_NAME,
  timeout: Number(process.env.OTEL_EXPORTER_OTLP_TIMEOUT ?? TIMEOUT_MS),
};
const { promise: done, resolve, reject } = Promise.withResolvers();
const answers = {
  "/": () => ["text/html", '<!doctype html><script type="module" src="/page.js"></script>'],
  "/page.js": () => ["text/javascript", readFileSync(bundle)],
  "/settings": () => ["application/json", JSON.stringify(settings)],
  "/log": (body) => ["text/plain", (console.error(JSON.parse(body)), "")],
  "/done": (body) => ["text/plain", (resolve(body), "")],
};
const server = createServer(async (request, response) => {
  const answer = answers[request.url];
  if (!answer) return response.writeHead(404).end();
  const [type, body] = answer(await text(request));
  response.writeHead(200, { "content-type": type }).end(body);
});
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));

const chromium = spawn(
  process.env.SPILLWAY_INTEROP_CHROMIUM,
  [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    "--remote-debugging-port=0",
    `--user-data-dir=${join(folder, "profile")}`,
    `http://127.0.0.1:${server.address().port}/`,
  ],
  { stdio: "ignore", detached: true },
);
chromium.on("error", reject);
chromium.on("exit", (code) => reject(new Error(`Chromium ended with ${code}`)));
const timer = setTimeout(() => reject(new Error(`the page took more than ${PATIENCE_MS} ms`)), PATIENCE_MS);
let ended;
try {
  ended = await done;
  // What a beacon sends, the page does not see: Chromium sends it on.
  if (settings.way === "beacon") await new Promise((sent) => setTimeout(sent, 1_500));
} finally {
  clearTimeout(timer);
  const gone = new Promise((exited) => chromium.removeAllListeners("exit").on("exit", exited));
  process.kill(-chromium.pid, "SIGKILL");
  await gone;
  rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
}
console.log(ended);
process.exit(0);
