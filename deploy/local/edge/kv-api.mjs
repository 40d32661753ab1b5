// A stand-in for Cloudflare's API: the part of it that manages the values of Workers KV, over a namespace of Miniflare's,
// so that what is written here is what the Worker reads. It keeps to what Cloudflare publishes, and checks the token. The
// codes 7000, 10000, 10009 and 10013 are Cloudflare's; those for what is malformed are not published, and are 1 here:
// https://developers.cloudflare.com/api/resources/kv/subresources/namespaces/
import { createServer } from "node:http";

const PATH = /^\/client\/v4\/accounts\/([^/]+)\/storage\/kv\/namespaces\/([^/]+)\/(?:keys|values\/([^/]+))$/;
const MAX_VALUE_BYTES = 25 * 1024 * 1024;

// What Cloudflare answers a request with that it does not fulfil.
class Refusal extends Error {
  constructor(status, code, message) {
    super(message);
    Object.assign(this, { status, code });
  }
}

// Serves `namespace` on a free port of loopback; resolves to the API's URL.
export async function serveKvApi(namespace, { accountId, namespaceId, token }) {
  async function answer(request) {
    if (request.headers.authorization !== `Bearer ${token}`) throw new Refusal(401, 10000, "Authentication error");
    const url = new URL(request.url, "http://api");
    const found = PATH.exec(url.pathname);
    if (found === null) throw new Refusal(400, 7000, "No route for that URI");
    const [, account, id, encoded] = found;
    if (account !== accountId) throw new Refusal(403, 10000, "Authentication error");
    if (id !== namespaceId) throw new Refusal(404, 10013, "namespace not found");
    const name = encoded && decodeURIComponent(encoded);
    switch (`${request.method} ${name ? "value" : "keys"}`) {
      case "GET keys":
        return list(namespace, url.searchParams);
      case "GET value":
        return { value: await get(namespace, name) };
      case "PUT value":
        await put(namespace, name, url.searchParams, request.headers["content-type"] ?? "", await read(request));
        return { result: null };
      case "DELETE value":
        await namespace.delete(name);
        return { result: null };
      default:
        throw new Refusal(405, 1, "method not allowed");
    }
  }

  const server = createServer(async (request, response) => {
    try {
      const { value, ...envelope } = await answer(request);
      if (value === undefined) return send(response, 200, { success: true, errors: [], messages: [], ...envelope });
      response.writeHead(200, { "content-type": "application/octet-stream" }).end(value);
    } catch (error) {
      const known = error instanceof Refusal;
      if (!known) console.error("kv-api:", error);
      const errors = [{ code: known ? error.code : 1, message: known ? error.message : "internal server error" }];
      send(response, known ? error.status : 500, { success: false, errors, messages: [], result: null });
    }
  });
  await new Promise((resolve, reject) => server.once("error", reject).listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${server.address().port}/client/v4`;
}

function send(response, status, envelope) {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(envelope));
}

async function list(namespace, query) {
  const limit = Number(query.get("limit") ?? 1000);
  if (!Number.isInteger(limit) || limit < 10 || limit > 1000) throw new Refusal(400, 1, "limit must be between 10 and 1000");
  const prefix = query.get("prefix") ?? undefined;
  const page = await namespace.list({ limit, prefix, cursor: query.get("cursor") || undefined });
  return { result: page.keys, result_info: { count: page.keys.length, cursor: page.list_complete ? "" : page.cursor } };
}

async function get(namespace, name) {
  const value = await namespace.get(name, "arrayBuffer");
  if (value === null) throw new Refusal(404, 10009, "get: 'key not found'");
  return Buffer.from(value);
}

// The body is the value, or a form that holds it and its metadata.
async function put(namespace, name, query, contentType, body) {
  const options = {};
  if (query.has("expiration")) options.expiration = Number(query.get("expiration"));
  if (query.has("expiration_ttl")) options.expirationTtl = Number(query.get("expiration_ttl"));
  let value = body;
  if (contentType.startsWith("multipart/form-data")) {
    const form = await new Response(body, { headers: { "content-type": contentType } }).formData().catch(() => null);
    value = form?.get("value");
    if (value === null || value === undefined) throw new Refusal(400, 1, "could not parse the form's value");
    if (typeof value !== "string") value = await value.arrayBuffer();
    if (form.has("metadata")) options.metadata = metadataOf(form.get("metadata"));
  }
  await namespace.put(name, value, options);
}

function metadataOf(text) {
  try {
    return JSON.parse(text);
  } catch {
    throw new Refusal(400, 1, "could not parse the metadata as JSON");
  }
}

async function read(request) {
  const chunks = [];
  let length = 0;
  for await (const chunk of request) {
    length += chunk.length;
    if (length > MAX_VALUE_BYTES) throw new Refusal(413, 1, "the value is too large");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
