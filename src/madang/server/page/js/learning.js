// How the community's own model learns: a sentence, its curve, and what came of it.

import { fetchLearning } from "./api.js";
import { clock, measuredOf, pointsOf, showCurves } from "./curve.js";
import { say } from "./i18n.js";

const OFTEN_MS = 2000;
const SELDOM_MS = 10_000;

/**
 * Wire the panel; `onSpeaks(name)` hears when another model has taken over the conversation.
 * Nothing is asked while nobody looks.
 */
export function learningPanel(root, { onSpeaks }) {
  const sentence = root.querySelector(".sentence-now");
  const figures = root.querySelector(".figures-now");
  const curve = root.querySelector(".curve");
  const bar = root.querySelector("progress");
  let speaks = null;
  let next = null;

  async function look() {
    clearTimeout(next);
    if (document.hidden) return;
    let now;
    try {
      now = await fetchLearning();
    } catch {
      next = setTimeout(look, SELDOM_MS);
      return;
    }
    show(now);
    if (speaks !== null && speaks !== now.speaks) onSpeaks(now.speaks);
    speaks = now.speaks;
    if (now.state !== "off") next = setTimeout(look, now.state === "learning" ? OFTEN_MS : SELDOM_MS);
  }

  function show(now) {
    root.hidden = false;
    root.dataset.state = now.state;
    const [key, values] = sentenceOf(now);
    // A screen reader hears a sentence that is new, not one that counts seconds.
    if (sentence.dataset.message !== key) sentence.setAttribute("aria-live", "polite");
    say(sentence, key, values);
    bar.hidden = now.state !== "learning" || !now.minutes;
    if (!bar.hidden) {
      bar.max = now.minutes * 60;
      bar.value = Math.min(bar.max, now.seconds ?? 0);
    }
    showFigures(figures, now);
    showCurves(curve, [
      { say: "curve.learned", points: pointsOf(now.curve) },
      { say: "curve.newest", points: measuredOf(now.curve) },
    ]);
  }

  document.addEventListener("visibilitychange", look);
  return look();
}

/** The message that says what is being done, with its values. */
export function sentenceOf({ state, stage, minutes, seconds, release, speaks, detail }) {
  if (state === "learning") {
    const left = clock(Math.max(0, minutes * 60 - (seconds ?? 0)));
    const known = ["curate", "tokenize", "plan", "train", "evaluate", "publish"];
    return [`learning.${known.includes(stage) ? stage : "plan"}`, { minutes, left }];
  }
  if (state === "learned") {
    return [release === speaks ? "learning.learned" : "learning.ready", { name: release ?? "" }];
  }
  return [`learning.${state}`, { detail: detail ?? "", name: speaks }];
}

function showFigures(line, { bits_per_byte: measured, curve }) {
  const future = measured?.future;
  if (Number.isFinite(future?.before) && Number.isFinite(future?.after)) {
    const change = Math.round((future.after / future.before - 1) * 100);
    say(line, "learning.measured", { before: future.before, after: future.after, change });
  } else if (curve.tokens) {
    say(line, "learning.figures", { tokens: curve.tokens, speed: Math.round(curve.tokens_per_second ?? 0) });
  }
  line.hidden = !line.dataset.message;
}
