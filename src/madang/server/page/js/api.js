// What the page asks the server, all of the same origin.

import { events } from "./stream.js";

/**
 * A failure in words for a person: `reason` is one of "busy", "stopped", "gone", "missing",
 * "offline", "refused"; `seconds` is how long to wait where the server said so.
 */
export class Failure extends Error {
  constructor(reason, detail = "", seconds = null) {
    super(detail || reason);
    this.reason = reason;
    this.detail = detail;
    this.seconds = seconds;
  }
}

/** What the page shows of the home: names, counts, examples, whether the brake is on. */
export async function fetchInfo() {
  return (await send("/page/info")).json();
}

/** What the model in the background does, with its curve. */
export async function fetchLearning() {
  return (await send("/v1/learning")).json();
}

/** The runs of the home, newest first. */
export async function fetchRuns() {
  return (await send("/v1/runs")).json();
}

/** One run with its curve. */
export async function fetchRun(name) {
  return (await send(`/v1/runs/${encodeURIComponent(name)}`)).json();
}

/** A post with its thread. Raises Failure "gone" or "missing" where there is none. */
export async function fetchPost(id) {
  return (await send(`/v1/posts/${encodeURIComponent(id)}`)).json();
}

/** Posts by id, at most four requests at a time; null stands for one that is no more. */
export async function fetchPosts(ids) {
  const found = new Map();
  const waiting = [...new Set(ids)];
  const work = async () => {
    for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
      try {
        found.set(id, await fetchPost(id));
      } catch (failure) {
        if (!isAbsent(failure)) throw failure;
        found.set(id, null);
      }
    }
  };
  await Promise.all([work(), work(), work(), work()]);
  return found;
}

/** Whether a failure means that the post does not exist here any more. */
export function isAbsent(failure) {
  return failure.reason === "gone" || failure.reason === "missing";
}

/**
 * Yield the chunks of an answer to [{role, content}], by `model` or, where that is null, by the one
 * that speaks. Aborting `signal` ends it with AbortError.
 */
export async function* ask(messages, signal, model = null) {
  const response = await send("/v1/chat/completions", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      model: model ?? "madang",
      messages,
      stream: true,
      stream_options: { include_usage: true },
    }),
    signal,
  });
  try {
    for await (const data of events(response.body)) {
      if (data === "[DONE]") return;
      const chunk = JSON.parse(data);
      if (chunk.error) throw failureOf(chunk.error, response);
      yield chunk;
    }
  } catch (error) {
    if (error instanceof Failure || error.name === "AbortError") throw error;
    throw new Failure("offline");
  }
  throw new Failure("offline");
}

/** Nothing goes into the browser's cache: what it holds would outlive a deletion. */
async function send(path, options) {
  let response;
  try {
    response = await fetch(path, { cache: "no-store", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure("offline");
  }
  if (response.ok) return response;
  const body = await response.json().catch(() => ({}));
  throw failureOf(body.error ?? {}, response);
}

function failureOf(error, response) {
  const detail = error.message ?? "";
  if (error.code === "stopped") return new Failure("stopped", detail);
  if (response.status === 429) {
    const seconds = Number.parseInt(response.headers.get("retry-after") ?? "", 10);
    return new Failure("busy", detail, Number.isFinite(seconds) ? seconds : 5);
  }
  if (response.status === 410) return new Failure("gone", detail);
  if (response.status === 404) return new Failure("missing", detail);
  if ([502, 503, 504].includes(response.status)) return new Failure("offline", detail);
  return new Failure("refused", detail);
}
