// The floor of storing: streams the body into R2, answers, and does nothing else.
export default {
  async fetch(request, env) {
    await env.OBJECTS.put(`v1/${crypto.randomUUID()}`, request.body);
    return new Response(null);
  },
};
