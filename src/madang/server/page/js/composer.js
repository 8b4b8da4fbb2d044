// The field for the question. Enter sends, Shift+Enter makes a new line, and an Enter that ends
// the composition of a Korean syllable does neither.

/**
 * Wire a form with a textarea. `onSend(text)` returns whether it took the text; `onStop()` is
 * called while an answer is being written (`setBusy(true)`).
 */
export function composer(form, { onSend, onStop }) {
  const field = form.querySelector("textarea");
  const send = form.querySelector(".send");
  const stop = form.querySelector(".stop");
  let composing = false;
  let sendAfterComposition = false;
  let busy = false;

  function submit() {
    if (busy) return;
    if (composing) {
      // A press of the button: the syllable is not in the text yet, or would come back after it.
      sendAfterComposition = true;
      return;
    }
    const text = field.value.trim();
    if (text === "" || !onSend(text)) return;
    field.value = "";
    changed();
  }

  function changed() {
    send.disabled = field.value.trim() === "";
    if (CSS.supports("field-sizing", "content")) return;
    field.style.height = "auto";
    field.style.height = `${field.scrollHeight}px`;
  }

  // Safari ends the composition before it reports the key, with isComposing false and code 229.
  const belongsToComposition = (event) => event.isComposing || composing || event.keyCode === 229;
  let lineBreakBelongs = false;

  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    lineBreakBelongs = belongsToComposition(event);
    if (lineBreakBelongs || event.shiftKey) return;
    event.preventDefault();
    if (!event.repeat) submit();
  });
  field.addEventListener("beforeinput", (event) => {
    const lineBreak = ["insertLineBreak", "insertParagraph"].includes(event.inputType);
    if (lineBreak && lineBreakBelongs) event.preventDefault();
    lineBreakBelongs = false;
  });
  field.addEventListener("compositionstart", () => {
    composing = true;
  });
  field.addEventListener("compositionend", () => {
    composing = false;
    if (!sendAfterComposition) return;
    sendAfterComposition = false;
    // The text of the composition is final only after this event.
    setTimeout(submit);
  });
  field.addEventListener("input", changed);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  stop.addEventListener("click", () => {
    onStop();
    field.focus();
  });
  changed();

  return {
    // The field is always in view; going to it must not move what is being read.
    focus: () => field.focus({ preventScroll: true }),
    setBusy(now) {
      const held = document.activeElement === (now ? send : stop);
      busy = now;
      send.hidden = now;
      stop.hidden = !now;
      if (held) (now ? stop : field).focus();
    },
  };
}
