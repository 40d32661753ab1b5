// Stands for R2: takes what is put, and forgets it. In the runtime's internal protocol a put is `cf-r2-metadata-size` bytes
// of JSON and then the object; the answer is the stored object's description, in the same form.
const SIZE = "cf-r2-metadata-size";
const decoder = new TextDecoder();

export default {
  async fetch(request) {
    const metadataSize = Number(request.headers.get(SIZE));
    const body = new Uint8Array(await request.arrayBuffer());
    const put = JSON.parse(decoder.decode(body.subarray(0, metadataSize)));
    if (put.method !== "put") return new Response(null, { status: 501 });
    const size = body.length - metadataSize;
    const stored = { name: put.object, version: "1", size, etag: "1", uploaded: "0", customFields: [], checksums: {} };
    const answer = JSON.stringify(stored);
    return new Response(answer, { headers: { [SIZE]: `${answer.length}` } });
  },
};
