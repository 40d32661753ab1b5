// What the edge asks of the platform, and nothing of what it checks: the key's record, the body streamed into R2, the
// answer, the notification. What the edge costs above this is its own work.
const NOTIFICATION = JSON.stringify({ object_key: "v1/".padEnd(500, "x") });

export default {
  async fetch(request, env, ctx) {
    await env.KEYS.get(`key/${"0".repeat(64)}`, "json");
    await env.OBJECTS.put(`v1/${crypto.randomUUID()}`, request.body, {
      customMetadata: { tenant: "bench", "key-id": "bench-1" },
      onlyIf: { etagDoesNotMatch: "*" },
    });
    ctx.waitUntil(fetch("http://origin.invalid/v1/traces", { method: "POST", body: NOTIFICATION }));
    return new Response(null);
  },
};
