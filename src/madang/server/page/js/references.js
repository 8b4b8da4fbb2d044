// What a browser keeps of a sentence that cites posts: never the posts' words, only where they
// stand. When a post is deleted, nothing of it is left here, and the sentence cannot be restored.
//
// A kept sentence is {kind, citations: [{post, start, end, n}], parts}. A part is a string, or
// [citation, start, end]: code points start to end of what that citation quotes.

import { slice } from "./offsets.js";

const SHORTEST_RUN = 2;

/** Write a sentence as references to what it quotes, with the words of its own in between. */
export function refer(sentence) {
  const citations = sentence.citations.map(({ post, start, end, n }) => ({ post, start, end, n }));
  const quotes = sentence.citations.map((citation) => Array.from(citation.quote));
  const text = Array.from(sentence.text);
  const parts = [];
  let words = "";
  for (let at = 0; at < text.length; ) {
    const run = longestRun(text, at, quotes);
    if (run.length < SHORTEST_RUN) {
      words += text[at];
      at += 1;
      continue;
    }
    if (words) parts.push(words);
    words = "";
    parts.push([run.quote, run.start, run.start + run.length]);
    at += run.length;
  }
  if (words) parts.push(words);
  return { kind: sentence.kind, citations, parts };
}

/**
 * Restore a kept sentence from posts as they are now: `{...sentence, state}`. The state is "gone"
 * where a post that it needs no longer exists, "edited" where one was changed after `since`
 * (the words at the kept place may be others now), and "whole" otherwise. Only a whole one has
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
    .map((part) => (typeof part === "string" ? part : slice(citations[part[0]].quote, part[1], part[2])))
    .join("");
  return { kind: kept.kind, text, citations, state: "whole" };
}

function longestRun(text, at, quotes) {
  let best = { quote: 0, start: 0, length: 0 };
  quotes.forEach((quote, index) => {
    for (let start = 0; start < quote.length; start += 1) {
      let length = 0;
      while (at + length < text.length && text[at + length] === quote[start + length]) length += 1;
      if (length > best.length) best = { quote: index, start, length };
    }
  });
  return best;
}
