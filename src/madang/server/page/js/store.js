// Conversations of this browser, one entry of localStorage each, so that two open tabs do not
// overwrite each other. Posts' words are not kept (see references.js); sources are kept as ids.

import { NOTHING, numbers } from "./answer.js";
import { refer, restore } from "./references.js";

const PREFIX = "madang.conversation.";
const OPEN = "madang.open";
const MOST = 100;
const TITLE_LENGTH = 80;

/** A new conversation, not yet kept. */
export function newConversation() {
  return { id: crypto.getRandomValues(new Uint32Array(2)).join("-"), turns: [] };
}

/** The conversations that are kept, newest first: [{id, title, updated}]. */
export function listConversations() {
  return keptKeys()
    .map((key) => read(key))
    .filter(Boolean)
    .map(({ id, title, updated }) => ({ id, title, updated }))
    .sort((a, b) => b.updated - a.updated);
}

/** Keep a conversation; where the browser's space is full, the oldest others make room. */
export function keepConversation(conversation) {
  const turns = conversation.turns.map(keptTurn);
  if (turns.length === 0) return;
  const title = conversation.turns[0].question.slice(0, TITLE_LENGTH);
  const entry = JSON.stringify({ id: conversation.id, title, updated: Date.now(), turns });
  const others = listConversations().filter((other) => other.id !== conversation.id);
  for (const old of others.splice(MOST - 1)) forgetConversation(old.id);
  for (;;) {
    try {
      localStorage.setItem(PREFIX + conversation.id, entry);
      return;
    } catch (error) {
      const oldest = others.pop();
      if (!oldest) throw error;
      forgetConversation(oldest.id);
    }
  }
}

/** Forget one conversation. */
export function forgetConversation(id) {
  localStorage.removeItem(PREFIX + id);
}

/** Forget all of them. */
export function forgetAll() {
  for (const key of keptKeys()) localStorage.removeItem(key);
}

/** The id of the conversation that this tab shows; a tab that is reloaded goes on with it. */
export function openId() {
  return sessionStorage.getItem(OPEN);
}

export function setOpenId(id) {
  if (id) sessionStorage.setItem(OPEN, id);
  else sessionStorage.removeItem(OPEN);
}

/** A kept conversation as it was written, or null; `restoreTurn` gives its turns their words. */
export function keptConversation(id) {
  return read(PREFIX + id);
}

/** The ids of the posts that a kept turn names. */
export function postsOf(kept) {
  return kept.answer ? kept.answer.sources : [];
}

/** A turn as it can be shown now, from the posts that still exist. */
export function restoreTurn(kept, posts) {
  const turn = { question: kept.question, asked: kept.asked, status: kept.status, failure: null };
  if (!kept.answer) return { ...turn, answer: NOTHING };
  const sentences = kept.answer.sentences.map((one) => restore(one, posts, kept.asked));
  const sources = kept.answer.sources.map((id) => sourceOf(id, posts.get(id)));
  return { ...turn, answer: { ...NOTHING, ...kept.answer, sentences, sources } };
}

function keptTurn({ question, asked, status, answer }) {
  const settled = ["done", "stopped"].includes(status);
  if (!settled) return { question, asked, status: "stopped", answer: null };
  const { route, abstained, asOf, engine, finished } = answer;
  const cited = numbers(answer);
  const sentences = answer.sentences.map(refer);
  const sources = answer.sources.map((source) => source.id).filter((id) => answer.abstained || cited.has(id));
  const html = cited.size > 0 ? null : answer.html;
  return {
    question,
    asked,
    status,
    answer: { route, abstained, asOf, engine, finished, html, sentences, sources },
  };
}

function sourceOf(id, post) {
  if (!post) return { id, gone: true };
  const { author_name: called, author, url, created_at: date, text } = post;
  return { id, title: called || author, url, date, snippet: text };
}

function keptKeys() {
  return Object.keys(localStorage).filter((key) => key.startsWith(PREFIX));
}

function read(key) {
  try {
    return JSON.parse(localStorage.getItem(key));
  } catch {
    return null;
  }
}
