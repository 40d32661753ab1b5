// The floor: reads the body and answers.
export default {
  async fetch(request) {
    await request.arrayBuffer();
    return new Response(null);
  },
};
