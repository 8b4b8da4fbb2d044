// The body of an answer: sentences of the same kind stand together under a label that says where
// they come from.

import { element, ownLanguage } from "./dom.js";
import { fromMarkup } from "./markup.js";

/**
 * Bring a body in line with `items` ([{sentence, provisional}]): what is already shown and still
 * holds stays untouched, so a new sentence costs a few nodes however long the answer is.
 */
export function showPassages(body, items, context) {
  const rows = [...body.querySelectorAll(".sentence")];
  let same = 0;
  while (same < rows.length && same < items.length && rows[same].dataset.key === keyOf(items[same])) {
    same += 1;
  }
  for (const row of rows.slice(same)) {
    const passage = row.parentElement;
    row.remove();
    if (!passage.querySelector(".sentence")) passage.remove();
  }
  for (const item of items.slice(same)) passageFor(body, item).append(rowOf(item, context));
}

function keyOf({ sentence, provisional }) {
  const { kind, text, html, state, citations } = sentence;
  return JSON.stringify([kind, text, html, state, provisional, citations.map(({ post, n }) => [post, n])]);
}

function passageFor(body, { sentence, provisional }) {
  const kind = sentence.kind;
  const last = body.lastElementChild;
  if (last?.dataset.kind === kind && last.dataset.provisional === String(provisional)) return last;
  const key = provisional ? "kind.provisional" : `kind.${kind}`;
  const passage = element(
    "div",
    { class: `passage ${kind}`, "data-kind": kind, "data-provisional": String(provisional) },
    element("p", { class: "kind", say: key }),
  );
  body.append(passage);
  return passage;
}

function rowOf(item, context) {
  const { sentence } = item;
  const row = element(sentence.kind === "quoted" ? "blockquote" : "div", {
    class: "sentence",
    ...ownLanguage(sentence.text),
    "data-key": keyOf(item),
  });
  const absent = sentence.state === "gone" || sentence.state === "edited";
  if (absent) row.append(element("p", { class: "absent", say: absence(sentence) }));
  else row.append(wordsOf(sentence));
  if (sentence.state !== "gone") addCitations(row, sentence, context);
  return row;
}

function absence({ kind, state }) {
  return kind === "generated" && state === "gone" ? "sentence.gone" : `post.${state}`;
}

function wordsOf({ kind, text, html }) {
  if (kind !== "quoted" && html) return fromMarkup(html);
  return element("p", {}, element("bdi", {}, text));
}

function addCitations(row, sentence, { open, nameOf }) {
  const home = row.lastElementChild?.localName === "p" ? row.lastElementChild : row;
  const seen = new Set();
  for (const citation of sentence.citations) {
    if (seen.has(citation.post)) continue;
    seen.add(citation.post);
    const same = sentence.citations.filter((other) => other.post === citation.post);
    // No line may begin with a citation, hence the joiner in front of it.
    home.append(
      "\u2060",
      element(
        "button",
        {
          type: "button",
          class: "citation",
          "aria-haspopup": "dialog",
          labels: { "aria-label": ["citation.open", { n: citation.n, name: nameOf(citation.post) }] },
          on: { click: () => open(citation.post, same) },
        },
        `[${citation.n}]`,
      ),
    );
  }
}
