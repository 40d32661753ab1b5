// Stands for the origin: reads the notification and says that it has it.
export default {
  async fetch(request) {
    await request.arrayBuffer();
    return new Response(null, { status: 202 });
  },
};
