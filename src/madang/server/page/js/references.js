// What a browser keeps of a sentence that cites posts: never the posts' words, only where they
// stand. When a post is deleted, nothing of it is left here, and the sentence cannot be restored.
//
// A kept sentence is {kind, citations: [{post, start, end, n}], parts}. A part is a string, or
// [citation, start, end]: code points start to end of the post that this citation names.

import { slice } from "./offsets.js";

const SHORTEST_RUN = 2;

/** Write a sentence as references to the posts that it cites, with its own words in between. */
export function refer(sentence, posts) {
  const citations = sentence.citations.map(({ post, start, end, n }) => ({ post, start, end, n }));
  if (citations.some(({ post }) => !posts.get(post))) return emptied({ kind: sentence.kind, citations });
  const texts = citations.map(({ post }) => Array.from(posts.get(post).text));
  const said = Array.from(sentence.text);
  const parts = [];
  let words = "";
  for (let at = 0; at < said.length; ) {
    const run = longestRun(said, at, texts);
    if (run.length < SHORTEST_RUN) {
      words += said[at];
      at += 1;
      continue;
    }
    if (words) parts.push(words);
    words = "";
    parts.push([run.citation, run.start, run.start + run.length]);
    at += run.length;
  }
  if (words) parts.push(words);
  return { kind: sentence.kind, citations, parts };
}

/** A kept sentence without any words, as it stays when one of its posts was deleted. */
export function emptied({ kind, citations }) {
  return { kind, citations, parts: [] };
}

/**
 * Restore a kept sentence from posts as they are now: `{kind, text, citations, state}`. The state
 * is "gone" where a post that it needs no longer exists, "edited" where one was changed after
 * `since` (other words may stand at the kept places), and "whole" otherwise. Only a whole one has
 * text and quotes.
 *
 * `posts` maps an id to the post, or to null where it is gone.
 */
export function restore(kept, posts, since) {
  const cited = kept.citations.map((citation) => posts.get(citation.post) ?? null);
  const bare = kept.citations.map((citation) => ({ ...citation, quote: "" }));
  const empty = { kind: kept.kind, text: "", citations: bare };
  if (cited.some((post) => post === null)) return { ...empty, state: "gone" };
  if (cited.some((post) => post.edited_at && Date.parse(post.edited_at) > Date.parse(since))) {
    return { ...empty, state: "edited" };
  }
  const citations = bare.map((citation, index) => ({
    ...citation,
    quote: slice(cited[index].text, citation.start, citation.end),
  }));
  const text = kept.parts
    .map((part) => (typeof part === "string" ? part : slice(cited[part[0]].text, part[1], part[2])))
    .join("");
  return { kind: kept.kind, text, citations, state: "whole" };
}

function longestRun(said, at, texts) {
  let best = { citation: 0, start: 0, length: 0 };
  texts.forEach((text, citation) => {
    for (let start = 0; start < text.length; start += 1) {
      let length = 0;
      while (at + length < said.length && said[at + length] === text[start + length]) length += 1;
      if (length > best.length) best = { citation, start, length };
    }
  });
  return best;
}
