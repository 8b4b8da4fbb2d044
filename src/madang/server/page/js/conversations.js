// The menu of past conversations, kept in this browser only.

import { drawing, element, ownLanguage, time } from "./dom.js";
import { say } from "./i18n.js";
import { forgetAll, forgetConversation, listConversations } from "./store.js";

/** Wire the menu; returns `show()`. `onOpen(id)` opens one, `onForgotten(id)` hears of a deletion. */
export function conversationsMenu(dialog, { onOpen, onForgotten, openedId }) {
  const list = dialog.querySelector("ul");
  const none = dialog.querySelector(".none");
  const all = dialog.querySelector(".forget-all");
  dialog.querySelector(".close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  // Two presses delete all of them; a browser's own question would stop the page.
  let sure = false;
  all.addEventListener("click", () => {
    if (sure) {
      forgetAll();
      onForgotten(null);
    }
    setSure(!sure);
    draw();
  });
  dialog.addEventListener("close", () => setSure(false));
  window.addEventListener("storage", () => dialog.open && draw());

  function setSure(now) {
    sure = now;
    say(all, now ? "conversations.forget_all_sure" : "conversations.forget_all");
  }

  function draw() {
    const kept = listConversations();
    list.replaceChildren(...kept.map(row));
    none.hidden = kept.length > 0;
    all.hidden = kept.length === 0;
  }

  function row({ id, title, updated }) {
    const open = element(
      "button",
      {
        type: "button",
        class: "open",
        "aria-current": id === openedId() ? "true" : null,
        on: {
          click: () => {
            dialog.close();
            onOpen(id);
          },
        },
      },
      element("span", { class: "title", ...ownLanguage(title) }, title),
      time(new Date(updated).toISOString()),
    );
    const forget = element(
      "button",
      {
        type: "button",
        class: "quiet icon",
        labels: { "aria-label": ["conversations.forget", { title }] },
        on: {
          click: () => {
            forgetConversation(id);
            onForgotten(id);
            draw();
            (list.querySelector("button") ?? dialog.querySelector(".close")).focus();
          },
        },
      },
      drawing("bin"),
    );
    return element("li", {}, open, forget);
  }

  return function show() {
    draw();
    dialog.showModal();
  };
}
