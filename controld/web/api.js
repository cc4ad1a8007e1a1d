// SPDX-License-Identifier: Apache-2.0
// The daemon's API as JSON: calls that read, and the stream of events. Reading a
// stream by fetch() and not by EventSource, which cannot send a token.

const TOKEN = "sentinel-token";
const RETRY_MS = 2000;

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

// Of this tab, and gone with it.
export function putToken(token) {
  if (token) sessionStorage.setItem(TOKEN, token);
  else sessionStorage.removeItem(TOKEN);
}

function headers(more = {}) {
  const token = sessionStorage.getItem(TOKEN);
  return token ? { Authorization: `Bearer ${token}`, ...more } : more;
}

function address(method, fields) {
  const query = new URLSearchParams(fields).toString();
  return `/v1/${method}${query ? `?${query}` : ""}`;
}

async function refuse(answer) {
  let text = answer.statusText;
  try {
    text = (await answer.json()).message || text;
  } catch {
    // A proxy's answer need not be JSON.
  }
  throw new Refused(answer.status, text);
}

export async function get(method, fields = {}) {
  const answer = await fetch(address(method, fields), {
    headers: headers(), cache: "no-store", credentials: "omit",
    redirect: "error",
  });
  if (!answer.ok) await refuse(answer);
  return answer.json();
}

// All pages of a list, up to max rows.
export async function getAll(method, key, max) {
  const rows = [];
  let pageToken = "";
  do {
    const answer = await get(method, {
      pageSize: Math.min(max - rows.length, 1000),
      ...(pageToken && { pageToken }),
    });
    rows.push(...(answer[key] || []));
    pageToken = answer.nextPageToken;
  } while (pageToken && rows.length < max);
  return rows;
}

// Server-sent events: fields of lines, an empty line ends one.
class Parser {
  constructor(take) {
    this.take = take;
    this.rest = "";
    this.reset();
  }

  reset() {
    this.event = { type: "message", data: [], id: null };
  }

  put(text) {
    const lines = (this.rest + text).split("\n");
    this.rest = lines.pop();
    lines.forEach((line) => this.putLine(line.replace(/\r$/, "")));
  }

  putLine(line) {
    if (!line) {
      if (this.event.data.length) {
        this.take(this.event.type, this.event.data.join("\n"), this.event.id);
      }
      this.reset();
      return;
    }
    const at = line.indexOf(":");
    const name = at < 0 ? line : line.slice(0, at);
    const value = at < 0 ? "" : line.slice(at + 1).replace(/^ /, "");
    if (name === "data") this.event.data.push(value);
    else if (name === "event") this.event.type = value;
    else if (name === "id") this.event.id = value;
  }
}

async function read(answer, parser) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    parser.put(value);
  }
}

// Follows a stream for good, and takes it up again behind the last event.
// told(state, text): "open", "away" or "refused", after which it has ended. verb:
// POST for what is not offered otherwise.
export async function follow(method, fields, take, told, verb = "GET") {
  let last = "";
  const parser = () => new Parser((type, data, id) => {
    if (type !== "message") return;
    last = id || last;
    take(JSON.parse(data));
  });
  for (;;) {
    try {
      const isPost = verb === "POST";
      const answer = await fetch(address(method, isPost ? {} : fields), {
        method: verb,
        ...(isPost && { body: JSON.stringify(fields) }),
        headers: headers({
          ...(last && { "Last-Event-ID": last }),
          ...(isPost && { "Content-Type": "application/json" }),
        }),
        cache: "no-store", credentials: "omit", redirect: "error",
      });
      if (!answer.ok) await refuse(answer);
      told("open", "");
      await read(answer, parser());
      told("away", "the stream has ended");
    } catch (error) {
      if (error instanceof Refused && [401, 403].includes(error.status)) {
        told("refused", error.message);
        return;
      }
      told("away", error.message);
    }
    await new Promise((done) => setTimeout(done, RETRY_MS));
  }
}
