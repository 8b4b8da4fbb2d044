// The posts behind an answer, as cards: the cited ones with their numbers, the rest folded away.

import { element, name, ownLanguage, time } from "./dom.js";

const FEW = 4;

/** Bring a list of sources in line with an answer; nothing is touched where nothing changed. */
export function showSources(root, answer, cited, open) {
  const key = JSON.stringify([answer.sources, [...cited], answer.finished, answer.abstained]);
  if (root.dataset.key === key) return;
  root.dataset.key = key;
  root.replaceChildren();
  if (answer.sources.length === 0) return;
  const [first, rest] = divided(answer, cited);
  const heading = answer.abstained ? "sources.nearest" : "sources.title";
  root.append(element("h3", { say: heading }));
  if (first.length > 0) root.append(listOf(first, cited, open));
  if (rest.length > 0) {
    root.append(
      element(
        "details",
        {},
        element("summary", { say: ["sources.others", { n: rest.length }] }),
        listOf(rest, cited, open),
      ),
    );
  }
}

function divided(answer, cited) {
  const byNumber = (a, b) => cited.get(a.id) - cited.get(b.id);
  const used = answer.sources.filter((source) => cited.has(source.id)).sort(byNumber);
  const unused = answer.sources.filter((source) => !cited.has(source.id));
  if (answer.finished && !answer.abstained) return [used, unused];
  const all = [...used, ...unused];
  return [all.slice(0, Math.max(FEW, used.length)), all.slice(Math.max(FEW, used.length))];
}

function listOf(sources, cited, open) {
  return element("ol", {}, ...sources.map((source) => card(source, cited.get(source.id), open)));
}

function card(source, number, open) {
  if (source.gone) {
    const mark = number ? element("span", { class: "number" }, `[${number}] `) : null;
    return element("li", { class: "card gone" }, mark, element("span", { say: "post.gone" }));
  }
  return element(
    "li",
    { class: "card" },
    element(
      "button",
      { type: "button", "aria-haspopup": "dialog", on: { click: () => open(source.id) } },
      number ? element("span", { class: "number" }, `[${number}] `) : null,
      source.title ? name(source.title) : element("span", { say: "post.unnamed" }),
    ),
    time(source.date),
    source.snippet ? element("p", { ...ownLanguage(source.snippet), class: "snippet" }, source.snippet) : null,
  );
}
