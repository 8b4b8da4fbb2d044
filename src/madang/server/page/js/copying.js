// An answer as plain text that keeps its citations and says that an AI wrote it.

import { numbers } from "./answer.js";
import { webAddress } from "./dom.js";
import { message, moment } from "./i18n.js";

/** The answer with numbered citations, the list of cited posts and the notice. */
export function copyText(answer, { name, model }) {
  const words = answer.sentences.filter((sentence) => sentence.text).map(withMarkers);
  const cited = numbers(answer);
  const sources = new Map(answer.sources.map((source) => [source.id, source]));
  const list = [...cited]
    .sort((a, b) => a[1] - b[1])
    .map(([id, n]) => `[${n}] ${describe(sources.get(id), id)}`);
  const notice = [message("copy.notice", { name, model: answer.engine ?? model })];
  if (answer.asOf) notice.push(message("answer.as_of", { time: moment(answer.asOf) }));
  return [words.join("\n"), list.join("\n"), notice.join(" · ")].filter(Boolean).join("\n\n");
}

function withMarkers({ text, citations }) {
  const markers = [...new Set(citations.map(({ n }) => `[${n}]`))];
  return [text, ...markers].join(" ");
}

function describe(source, id) {
  const date = source?.date ? moment(source.date) : "";
  return [source?.title, date, webAddress(source?.url) ?? id].filter(Boolean).join(", ");
}
