// Which model speaks: the home's own choice, or another one that this browser asked for.

import { element } from "./dom.js";
import { message, say } from "./i18n.js";

const CHOICE = "madang.model";

/** Wire the head's name and choice of models; returns {show, asked}. */
export function speakerChoice(name, choice) {
  choice.addEventListener("change", () => {
    if (choice.value) sessionStorage.setItem(CHOICE, choice.value);
    else sessionStorage.removeItem(CHOICE);
  });

  /** Show who speaks, from what the server tells: `model`, `speaks` and `models`. */
  function show({ model, speaks, models = [] }) {
    name.textContent = model;
    const others = models.filter((one) => one !== speaks);
    if (!others.includes(asked())) sessionStorage.removeItem(CHOICE);
    name.hidden = others.length > 0;
    choice.hidden = others.length === 0;
    const first = element("option", { value: "" });
    say(first, "speaker.speaks", { name: speaks });
    choice.replaceChildren(first, ...others.map((one) => element("option", { value: one }, one)));
    choice.value = asked() ?? "";
  }

  return { show, asked };
}

/** The model that this tab asked for, or null for the one that speaks. */
export function asked() {
  return sessionStorage.getItem(CHOICE);
}

/** What a screen reader hears when another model has taken over. */
export function tookOver(name) {
  return message("speaker.took_over", { name });
}
