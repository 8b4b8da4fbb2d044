// The server renders Markdown and sanitises it. Even so, only what Markdown makes comes into the
// page: each node is made anew from a list of elements, and of their attributes only links' targets.

import { element, outside } from "./dom.js";

const BLOCKS = "blockquote br h1 h2 h3 h4 h5 h6 hr li ol p pre table tbody td th thead tr ul";
const INLINE = "code em s strong";
const ALLOWED = new Set(`${BLOCKS} ${INLINE}`.split(" "));
const DROPPED = new Set(["script", "style", "template", "iframe", "object", "noscript"]);
const HEADING = /^h[1-6]$/u;

/** A fragment with the allowed parts of some HTML; what is not allowed leaves its text behind. */
export function fromMarkup(html) {
  const parsed = new DOMParser().parseFromString(html, "text/html");
  const fragment = document.createDocumentFragment();
  copyChildren(parsed.body, fragment);
  return fragment;
}

function copyChildren(from, to) {
  for (const node of from.childNodes) {
    if (node.nodeType === Node.TEXT_NODE) to.append(node.data);
    if (node.nodeType !== Node.ELEMENT_NODE || DROPPED.has(node.localName)) continue;
    const made = copyOf(node);
    copyChildren(node, made);
    to.append(made);
  }
}

function copyOf(node) {
  const tag = node.localName;
  if (tag === "a") return outside(node.getAttribute("href"), {}) ?? element("span");
  if (!ALLOWED.has(tag)) return element("span");
  // A question is a second-level heading, so every heading of its answer is of the third.
  const made = element(HEADING.test(tag) ? "h3" : tag);
  if (tag === "ol" && node.hasAttribute("start")) made.start = node.start;
  return made;
}
