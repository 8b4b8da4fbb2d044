// What a screen reader hears while an answer arrives: whole sentences, each once.

import { element, ownLanguage } from "./dom.js";

const KEPT = 20;

/** Returns `announce(text)` for an element with aria-live. */
export function announcer(region) {
  return function announce(text) {
    region.append(element("p", ownLanguage(text), text));
    while (region.childElementCount > KEPT) region.firstElementChild.remove();
  };
}
