// Stands for Workers KV: answers every read with the one record.
export default {
  fetch(request, env) {
    return request.method === "GET" ? new Response(env.RECORD) : new Response(null, { status: 501 });
  },
};
