// One question with its answer on the page.

import { numbers, shown } from "./answer.js";
import { copyText } from "./copying.js";
import { drawing, element, ownLanguage } from "./dom.js";
import { message, say } from "./i18n.js";
import { showPassages } from "./passages.js";
import { showSources } from "./sources.js";

let made = 0;

/** Make the element of a turn; returns {root, update}. `update` brings it in line with the turn. */
export function turnView(turn, { openPost, retry, about }) {
  made += 1;
  const called = { class: "question", id: `question-${made}`, ...ownLanguage(turn.question) };
  const heading = element("h2", called, turn.question);
  const speaker = element("bdi", { class: "speaker" });
  const state = element("span", { class: "state" });
  const body = element("div", { class: "body" });
  const failure = element("p", { class: "failure" });
  const asOf = element("span", { class: "as-of" });
  const copy = element(
    "button",
    { type: "button", class: "quiet", on: { click: () => copyAnswer(copy, turn, about()) } },
    drawing("copy"),
    element("span", { say: "answer.copy" }),
  );
  const again = element(
    "button",
    { type: "button", class: "quiet retry", on: { click: () => retry(turn) } },
    drawing("again"),
    element("span", { say: "answer.retry" }),
  );
  const sources = element("div", { class: "sources" });
  const root = element(
    "article",
    { class: "turn", "aria-labelledby": heading.id },
    heading,
    element(
      "div",
      { class: "answer" },
      element(
        "p",
        { class: "byline" },
        drawing("yard"),
        element("span", { say: "answer.byline" }),
        speaker,
        state,
      ),
      body,
      failure,
      element("div", { class: "foot" }, asOf, copy, again),
    ),
    sources,
  );

  function update() {
    const { answer, status } = turn;
    const cited = numbers(answer);
    const names = new Map(answer.sources.map((source) => [source.id, source.title ?? ""]));
    root.dataset.status = status;
    root.classList.toggle("abstained", answer.abstained);
    showPassages(body, itemsOf(answer), {
      nameOf: (id) => names.get(id) ?? "",
      open: (id, citations) => openPost(id, citations),
    });
    showSources(sources, answer, cited, (id) => openPost(id, citationsOf(answer, id)));
    speaker.hidden = !answer.engine;
    speaker.textContent = answer.engine ?? "";
    showState(state, turn);
    showFailure(failure, turn);
    asOf.hidden = !answer.asOf;
    if (answer.asOf) say(asOf, "answer.as_of", { time: { at: answer.asOf } });
    copy.hidden = !answer.sentences.some((sentence) => sentence.text);
    again.hidden = !["done", "stopped", "failed"].includes(status);
  }

  update();
  return { root, update };
}

/** A whole answer in the model's own words is shown as one text: its Markdown may span sentences. */
function itemsOf(answer) {
  const cited = answer.sentences.some((sentence) => sentence.citations.length > 0);
  if (!answer.finished || !answer.html || cited || answer.sentences.length === 0) return shown(answer);
  const { html, sentences } = answer;
  const text = sentences.map((sentence) => sentence.text).join(" ");
  return [{ sentence: { kind: "own", text, html, citations: [] }, provisional: false }];
}

function citationsOf(answer, id) {
  return shown(answer)
    .flatMap(({ sentence }) => sentence.citations)
    .filter((citation) => citation.post === id);
}

function showState(state, { status, answer }) {
  const key = {
    waiting: "state.waiting",
    streaming: answer.extract.length > 0 || answer.sentences.length > 0 ? "state.writing" : "state.reading",
    restoring: "state.restoring",
    stopped: "state.stopped",
  }[status];
  state.hidden = !key;
  if (key && state.dataset.message !== key) say(state, key);
}

function showFailure(line, { failure }) {
  line.hidden = !failure;
  if (!failure) return;
  const seconds = failure.seconds ?? 0;
  say(line, `failure.${failure.reason}`, { seconds, detail: failure.detail });
}

async function copyAnswer(button, turn, about) {
  const text = copyText(turn.answer, about);
  const done = await toClipboard(text);
  const words = button.lastElementChild;
  say(words, done ? "answer.copied" : "answer.not_copied");
  button.setAttribute("aria-live", "polite");
  setTimeout(() => say(words, "answer.copy"), 2000);
}

/** Copy; the clipboard of browsers is closed to pages that come over plain http from elsewhere. */
async function toClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const attributes = { class: "offscreen", readonly: true, "aria-label": message("answer.copy") };
    const area = element("textarea", attributes);
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}
