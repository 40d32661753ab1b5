// Pushes the messages of a queue of Miniflare's to a Cloudflare Queue, by its API:
// https://developers.cloudflare.com/api/resources/queues/subresources/messages/methods/bulk_push/
export default {
  async queue(batch, env) {
    const messages = batch.messages.map(({ body }) =>
      typeof body === "string" ? { body, content_type: "text" } : { body, content_type: "json" },
    );
    const answer = await fetch(env.PUSH_URL, {
      method: "POST",
      headers: { authorization: `Bearer ${env.TOKEN}`, "content-type": "application/json" },
      body: JSON.stringify({ messages }),
    });
    // What is thrown here makes Miniflare deliver the batch again.
    if (!answer.ok) throw new Error(`the messages were not taken: ${answer.status} ${await answer.text()}`);
  },
};
