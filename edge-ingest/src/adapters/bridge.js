// What is asked of the runtime for each export, each in one call from wasm. A call costs little, but each text that crosses
// and each object that is looked into from wasm costs about a microsecond, and there would be a hundred of them.
//
// Headers are text here: a name and a value in turns, in lines, which neither can hold.

/** Reads of requests what the pipeline asks for. */
export class HeadReader {
  /** `names`: the headers that are looked at, in lines. */
  constructor(names) {
    this.names = names.split("\n");
  }

  /** Method, URL, and the headers that are there. */
  read(request) {
    const { method, url, headers } = request;
    let head = `${method}\n${url}`;
    for (const name of this.names) {
      const value = headers.get(name);
      if (value !== null) head += `\n${name}\n${value}`;
    }
    return head;
  }
}

/** How much of a body is asked for at a time. Without a buffer of its own, a reader is given 4 KiB. */
const PIECE_BYTES = 64 << 10;

/** A reader of the request's body; undefined where it has none that could still be read. */
export function readerOf(request) {
  return request.body === null || request.bodyUsed ? undefined : new BodyReader(request.body);
}

/** Reads a body, piece by piece. */
export class BodyReader {
  constructor(body) {
    this.reader = body.getReader({ mode: "byob" });
  }

  /** The next piece, which is overwritten by the one after it; undefined at the end. */
  async next() {
    // None while an earlier piece is still awaited, by somebody who has given up.
    const buffer = this.buffer ?? new ArrayBuffer(PIECE_BYTES);
    this.buffer = undefined;
    const { done, value } = await this.reader.read(new Uint8Array(buffer));
    this.buffer = value?.buffer;
    return done ? undefined : value;
  }

  /** Reads what is left and throws it away, within bounds. */
  async discard(maxBytes, maxMillis) {
    let timer;
    const timedOut = new Promise((resolve) => (timer = setTimeout(resolve, maxMillis)));
    try {
      for (let bytes = 0, piece; bytes < maxBytes; bytes += piece.byteLength) {
        piece = await Promise.race([this.next(), timedOut]);
        if (piece === undefined) break;
      }
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Puts what is new into R2. `bytes` and `sha256` lie in wasm's memory, which goes on: R2 gets a copy. */
export function put(bucket, key, bytes, sha256, metadata) {
  return bucket.put(key, bytes.slice(), {
    sha256: sha256.slice(),
    customMetadata: Object.fromEntries(pairs(metadata)),
    onlyIf: { etagDoesNotMatch: "*" },
  });
}

/** Sends a POST, and tells the answer's status. What is sent elsewhere never arrives where it should. */
export async function post(url, headers, body, signal) {
  const init = { method: "POST", headers: pairs(headers), body: body.slice(), redirect: "manual", signal };
  const { status } = await fetch(url, init);
  return status;
}

/** Makes an answer. */
export function respond(status, headers, body) {
  return new Response(body.length === 0 ? null : body.slice(), { status, headers: pairs(headers) });
}

/** Makes an answer that is sent in full at once, and is not at its end before `rest` is: that long, the request can be read. */
export function respondWhile(status, headers, body, rest) {
  const { readable, writable } = new FixedLengthStream(body.length);
  const writer = writable.getWriter();
  // Both fail where the client has gone away.
  const written = writer.write(body.slice());
  Promise.allSettled([written, rest])
    .then(() => writer.close())
    .catch(() => {});
  return new Response(readable, { status, headers: pairs(headers) });
}

function pairs(text) {
  const lines = text === "" ? [] : text.split("\n");
  const found = [];
  for (let n = 0; n < lines.length; n += 2) found.push([lines[n], lines[n + 1]]);
  return found;
}
