// Making elements. Text always goes in as text nodes; markup of the server through `fromMarkup`.

import { label, moment, say } from "./i18n.js";

/**
 * An element. `class`, `dir` and other attributes are set as they are; `say` is a message's key or
 * [key, values]; `labels` maps attributes to the same; `on` maps events to listeners. Children are
 * nodes, or strings that become text; null ones are left out.
 */
export function element(tag, { say: said, labels, on, ...attributes } = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  if (said) say(made, ...[said].flat());
  for (const [name, key] of Object.entries(labels ?? {})) label(made, name, ...[key].flat());
  for (const [name, listener] of Object.entries(on ?? {})) made.addEventListener(name, listener);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** A moment (ISO 8601) in the page's language, or null where there is none. */
export function time(iso) {
  if (!iso || Number.isNaN(Date.parse(iso))) return null;
  return element("time", { datetime: iso }, moment(iso));
}

/** A person's or account's name; its direction stays its own. */
export function name(text) {
  return element("bdi", { ...ownLanguage(text), class: "name" }, text);
}

/**
 * Attributes for words that may be in another language than the page: their own direction, and
 * Korean where they are mostly in Hangul, for screen readers and for how lines break.
 */
export function ownLanguage(text, known = null) {
  return { dir: "auto", lang: known && known !== "und" ? known : isKorean(text) ? "ko" : null };
}

/** A syllable of Hangul says about as much as two Latin letters. */
function isKorean(text) {
  const hangul = text.match(/\p{Script=Hangul}/gu)?.length ?? 0;
  const latin = text.match(/\p{Script=Latin}/gu)?.length ?? 0;
  return hangul > 0 && hangul * 2 >= latin;
}

/** A drawing of the page's own set, hidden from screen readers. */
export function drawing(id) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("class", "drawing");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(space, "use");
  use.setAttribute("href", `/static/drawings.svg#${id}`);
  svg.append(use);
  return svg;
}

/** The address if it is http or https, else null: posts come with addresses of any kind. */
export function webAddress(address) {
  try {
    const url = new URL(address);
    return ["http:", "https:"].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

/** A link that leaves the page, or null where the address is none for the web. */
export function outside(address, attributes, ...children) {
  const href = webAddress(address);
  if (href === null) return null;
  const rel = "noopener noreferrer nofollow";
  return element("a", { ...attributes, href, rel, target: "_blank" }, ...children);
}
