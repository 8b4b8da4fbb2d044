// An answer as it arrives: a value made anew by each chunk of the stream.

/** An answer of which nothing has arrived. */
export const NOTHING = Object.freeze({
  route: null,
  sources: [],
  extract: [],
  sentences: [],
  html: null,
  abstained: false,
  asOf: null,
  engine: null,
  finished: false,
});

/** The answer after one chunk of the stream (an OpenAI chunk with the field `madang`). */
export function afterChunk(answer, chunk) {
  const event = chunk.madang;
  switch (event?.event) {
    case "sources":
      return {
        ...answer,
        route: event.route,
        engine: event.engine ?? null,
        sources: chunk.search_results ?? event.search_results ?? [],
      };
    case "extract":
      return { ...answer, extract: numbered(event.sentences, answer) };
    case "sentence":
      return { ...answer, sentences: [...answer.sentences, ...numbered([event.sentence], answer)] };
    case "finished":
      return finished(answer, event.answer);
    default:
      return answer;
  }
}

/** Sentences to show now, in order: what was checked, then the extract as long as it is not settled. */
export function shown(answer) {
  const checked = answer.sentences.map((sentence) => ({ sentence, provisional: false }));
  if (answer.finished) return checked;
  const said = new Set(answer.sentences.map((sentence) => sentence.text));
  const extract = answer.extract.filter((sentence) => !said.has(sentence.text));
  return [...checked, ...extract.map((sentence) => ({ sentence, provisional: true }))];
}

/** The number of each cited post, in the order of first citation. */
export function numbers(answer) {
  const found = new Map();
  for (const { sentence } of shown(answer)) {
    for (const citation of sentence.citations) {
      if (!found.has(citation.post)) found.set(citation.post, citation.n);
    }
  }
  return found;
}

/** The answer as plain text, as a later request sends it back as the assistant's turn. */
export function plainText(answer) {
  return answer.sentences
    .map((sentence) => sentence.text)
    .filter(Boolean)
    .join(" ");
}

function finished(answer, whole) {
  const known = new Map(answer.sources.map((source) => [source.id, source]));
  for (const id of whole.evidence) if (!known.has(id)) known.set(id, { id });
  return {
    ...answer,
    route: whole.route,
    sources: [...known.values()],
    extract: [],
    sentences: numbered(whole.sentences.map(unnumbered), NOTHING),
    html: whole.html ?? null,
    abstained: whole.abstained,
    asOf: whole.as_of,
    engine: whole.engine,
    finished: true,
  };
}

/** Numbers that were given on the way leave gaps where a sentence did not pass; begin anew. */
function unnumbered(sentence) {
  return { ...sentence, citations: sentence.citations.map((citation) => ({ ...citation, n: null })) };
}

/** Give every citation a number: the server's where it sent one, else the next that is free. */
function numbered(sentences, answer) {
  const known = numbers(answer);
  for (const sentence of sentences) {
    for (const { post, n } of sentence.citations) {
      if (!known.has(post)) known.set(post, n ?? Math.max(0, ...known.values()) + 1);
    }
  }
  return sentences.map((sentence) => ({
    ...sentence,
    citations: sentence.citations.map((citation) => ({ ...citation, n: known.get(citation.post) })),
  }));
}
