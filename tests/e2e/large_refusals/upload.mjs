// Uploads zeros with node:http, which OpenTelemetry's exporters of Node use, or with fetch, and prints the answer's status.
//
//   node upload.mjs URL KEY BYTES length|chunked|fetch
import { request } from "node:http";
import process from "node:process";

const PIECE = 64 << 10;
const [url, key, size, framing] = process.argv.slice(2);
const body = Buffer.alloc(Number(size));
const headers = { "content-type": "application/x-protobuf", "x-api-key": key };

async function byFetch() {
  const answer = await fetch(url, { method: "POST", headers, body });
  return [answer.status, (await answer.arrayBuffer()).byteLength];
}

function byHttp() {
  return new Promise((resolve, reject) => {
    if (framing === "length") headers["content-length"] = body.length;
    const sent = request(url, { method: "POST", headers }, (answer) => {
      let bytes = 0;
      answer.on("data", (piece) => (bytes += piece.length));
      answer.on("end", () => resolve([answer.statusCode, bytes]));
      answer.on("error", reject);
    });
    sent.on("error", reject);
    for (let at = 0; at < body.length; at += PIECE) sent.write(body.subarray(at, at + PIECE));
    sent.end();
  });
}

console.log(...(await (framing === "fetch" ? byFetch() : byHttp())));
process.exit(0);
