// The dialog that shows one post whole: its quote marked, who wrote it and when, where it stands,
// and the conversation around it.

import { fetchPost, isAbsent } from "./api.js";
import { element, name, outside, ownLanguage, time } from "./dom.js";
import { label, say } from "./i18n.js";
import { cut, slice } from "./offsets.js";

/**
 * Prepare the dialog; returns `open(id, citations)`. `onAbsent(id)` hears of a post that turns
 * out to be deleted.
 */
export function postDialog(dialog, { onAbsent }) {
  const content = dialog.querySelector(".content");
  const title = dialog.querySelector("h2");
  dialog.querySelector(".close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  let wanted = null;

  return async function open(id, citations = []) {
    wanted = id;
    say(title, "post.title");
    content.replaceChildren(element("p", { class: "absent", say: "post.loading" }));
    if (!dialog.open) dialog.showModal();
    try {
      const post = await fetchPost(id);
      if (wanted === id) show(post, citations);
    } catch (failure) {
      if (isAbsent(failure)) onAbsent(id);
      if (wanted !== id) return;
      const key = isAbsent(failure) ? "post.gone" : "failure.offline";
      content.replaceChildren(element("p", { class: "absent", say: key }));
    }
  };

  function show(post, citations) {
    const spans = citations.filter((citation) => stands(citation, post));
    delete title.dataset.message;
    title.replaceChildren(writer(post));
    const moved = spans.length < citations.length;
    content.replaceChildren(
      details(post),
      moved ? element("p", { class: "absent", say: "post.edited" }) : "",
      textOf(post, spans.map(({ start, end }) => [start, end])),
      original(post) ?? "",
      around(post) ?? "",
    );
    content.scrollTop = 0;
    content.querySelector("mark")?.scrollIntoView({ block: "nearest" });
  }
}

/** Whether a quote still stands where it was taken from. */
function stands({ start, end, quote }, post) {
  const there = slice(post.text, start, end);
  return quote ? there === quote : there !== "";
}

function writer(post) {
  const called = post.author_name || post.author;
  return called ? name(called) : element("span", { say: "post.unnamed" });
}

function details(post) {
  const line = element("p", { class: "details" });
  if (post.author && post.author_name) line.append(element("bdi", {}, post.author), " · ");
  line.append(time(post.created_at) ?? element("span", { say: "post.undated" }));
  const edited = time(post.edited_at);
  if (edited) line.append(" ", element("span", { say: "post.edited_at" }), " ", edited);
  return line;
}

function textOf(post, spans) {
  const parts = cut(post.text, spans).map(({ text, marked }) => (marked ? element("mark", {}, text) : text));
  return element("div", { class: "text", ...ownLanguage(post.text, post.lang) }, ...parts);
}

function original(post) {
  const link = outside(post.url, {}, element("span", { say: "post.original" }));
  if (!link) return null;
  const host = element("bdi", {}, new URL(link.href).host);
  return element("p", { class: "original" }, link, " ", host);
}

function around(post) {
  const thread = post.thread_posts ?? [];
  if (!thread.some((other) => other.id !== post.id)) return null;
  const items = thread.map((other) => {
    const here = other.id === post.id;
    const item = element(
      "li",
      { class: here ? "here" : "", "aria-current": here ? "true" : null },
      element("p", { class: "details" }, writer(other), " ", time(other.created_at)),
    );
    item.append(here ? element("p", { class: "absent", say: "post.here" }) : textOf(other, []));
    return item;
  });
  const heading = element("h3", { say: "post.thread" });
  const list = label(element("ol", { class: "thread" }), "aria-label", "post.thread");
  list.append(...items);
  return element("div", {}, heading, list);
}
