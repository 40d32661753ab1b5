// What the Worker's requests go through where a simulator of its zone stands for Cloudflare (tests/zone): each is sent there, with
// the URL that it was for.
export default {
  async fetch(request, env) {
    const headers = new Headers(request.headers);
    headers.set("zone-url", request.url);
    return fetch(env.ZONE, { method: request.method, headers, body: request.body, redirect: "manual" });
  },
};
