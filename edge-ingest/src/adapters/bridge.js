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

function pairs(text) {
  const lines = text === "" ? [] : text.split("\n");
  const found = [];
  for (let n = 0; n < lines.length; n += 2) found.push([lines[n], lines[n + 1]]);
  return found;
}
