// Sends what a notification looks like to another Worker, in the way that the path names.
const BODY = JSON.stringify({ object_key: "v1/".padEnd(580, "x") });
const HEADERS = {
  "content-type": "application/json",
  "spillway-signature": "t=1795230245,v1=".padEnd(80, "0"),
  traceparent: "00-0102030405060708090a0b0c0d0e0f10-0102030405060708-01",
};

export default {
  async fetch(request, env) {
    const callee = { "/binding": env.BY_BINDING, "/http": env.BY_HTTP }[new URL(request.url).pathname];
    if (callee === undefined) return new Response(null);
    const { status } = await callee.fetch("http://origin.invalid/", { method: "POST", headers: HEADERS, body: BODY });
    return new Response(null, { status: status === 202 ? 200 : 500 });
  },
};
