// The page: finds its parts, wires them together and shows what the server tells about the home.

import { announcer } from "./announcer.js";
import { fetchInfo } from "./api.js";
import { Chat } from "./chat.js";
import { composer } from "./composer.js";
import { conversationsMenu } from "./conversations.js";
import { element } from "./dom.js";
import { currentLanguage, preferredLanguage, say, useLanguage } from "./i18n.js";
import { learningPanel } from "./learning.js";
import { postDialog } from "./post.js";
import { asked, speakerChoice, tookOver } from "./speaker.js";
import { openId } from "./store.js";

const OWN_NAME = "Madang";
const POLL_MS = 3000;
const PATIENCE = 40;
const RECHECK_MS = 10_000;

const part = (id) => document.getElementById(id);
let info = { name: "Madang", model: "", speaks: "", models: [], examples: {}, stopped: false };
let nextLook = null;
let looks = 0;
let checked = Date.now();

const announce = announcer(part("announcements"));
const speaker = speakerChoice(part("model"), part("models"));
const openPost = postDialog(part("post"), { onAbsent: (id) => chat.forgetPost(id) });
const chat = new Chat(part("log"), {
  about: () => info,
  on: {
    openPost,
    announce,
    model: asked,
    busy: (now) => field.setBusy(now),
    changed: (hasTurns) => {
      part("welcome").hidden = hasTurns;
    },
    stopped: () => showInfo(),
  },
});
const field = composer(part("composer"), { onSend: (text) => chat.ask(text), onStop: () => chat.stop() });
const showConversations = conversationsMenu(part("conversations"), {
  onOpen: (id) => chat.open(id),
  onForgotten: (id) => {
    if (id === null || id === chat.id) chat.startNew();
  },
  openedId: () => chat.id,
});

function startNew() {
  chat.startNew();
  part("conversations").close();
  field.focus();
}

part("menu").addEventListener("click", showConversations);
for (const button of document.querySelectorAll(".start-new")) button.addEventListener("click", startNew);
for (const button of document.querySelectorAll("[data-language]")) {
  button.addEventListener("click", async () => {
    await useLanguage(button.dataset.language, { remember: true });
    showLanguage();
  });
}
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, dialog");
  if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  field.focus();
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden || Date.now() - checked < RECHECK_MS) return;
  checked = Date.now();
  chat.recheck();
  showInfo();
});

function showLanguage() {
  for (const button of document.querySelectorAll("[data-language]")) {
    button.setAttribute("aria-pressed", String(button.dataset.language === currentLanguage()));
  }
  showExamples();
}

function showExamples() {
  const questions = info.examples[currentLanguage()] ?? [];
  const rows = questions.map((question) => {
    const attributes = { type: "button", dir: "auto", on: { click: () => chat.ask(question) } };
    return element("li", {}, element("button", attributes, question));
  });
  part("examples").replaceChildren(...rows);
  part("try").hidden = rows.length === 0;
}

/** A home with a name of its own shows that instead of the program's, in either language. */
function showName(given) {
  const heading = document.querySelector("h1");
  delete heading.dataset.message;
  heading.textContent = given;
}

async function showInfo() {
  try {
    info = await fetchInfo();
  } catch {
    return;
  }
  speaker.show(info);
  if (info.name !== OWN_NAME) showName(info.name);
  const values = { posts: info.posts, authors: info.authors, newest: { at: info.newest } };
  say(part("holdings"), info.newest ? "welcome.holdings" : "welcome.empty", values);
  part("remote").hidden = !info.remote_engine;
  part("brake").hidden = !info.stopped;
  showExamples();
  lookAgain();
}

/** Look again while the operator has stopped the server, or its model is being loaded. */
function lookAgain() {
  clearTimeout(nextLook);
  const loading = info.model === "" && looks < PATIENCE;
  looks += 1;
  if (info.stopped || loading) nextLook = setTimeout(showInfo, POLL_MS);
}

await useLanguage(preferredLanguage());
showLanguage();
await showInfo();
await learningPanel(part("learning"), {
  onSpeaks: (name) => {
    announce(tookOver(name));
    showInfo();
  },
});
document.body.classList.add("ready");
const reopened = openId();
const opened = reopened !== null && (await chat.open(reopened));
// On a phone the focus would bring up the keyboard before anyone has read a word.
if (!opened && matchMedia("(pointer: fine)").matches) field.focus();
