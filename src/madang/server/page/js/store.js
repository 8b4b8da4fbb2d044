// Conversations of this browser, one entry of localStorage each, so that two open tabs do not
// overwrite each other. Posts' words are not kept (see references.js); sources are kept as ids.

import { NOTHING, numbers } from "./answer.js";
import { emptied, refer, restore } from "./references.js";

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

/**
 * Keep a conversation: of each turn its question and `kept`, its answer as `keepable` made it.
 * Where the browser's space is full, the oldest others make room.
 */
export function keepConversation(conversation) {
  const turns = conversation.turns.map(({ question, asked, kept }) => ({ question, asked, kept }));
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

/** A kept conversation as it was written, or null; `restoreAnswer` gives its answers their words. */
export function keptConversation(id) {
  return read(PREFIX + id);
}

/** The ids of the posts that a kept answer names. */
export function postsOf(kept) {
  return kept?.sources ?? [];
}

/** A settled answer as it may be kept, given the posts that it cites (null where one is gone). */
export function keepable(answer, posts) {
  const { route, abstained, asOf, engine } = answer;
  const cited = numbers(answer);
  const sentences = answer.sentences.map((sentence) => refer(sentence, posts));
  const sources = answer.sources.map(({ id }) => id).filter((id) => abstained || cited.has(id));
  // The words of an answer that cites nothing are the model's own, so their rendering may stay.
  const html = cited.size > 0 ? null : answer.html;
  return { route, abstained, asOf, engine, html, sentences, sources };
}

/** A kept answer after a post was deleted. */
export function withoutPost(kept, id) {
  const needs = (sentence) => sentence.citations.some(({ post }) => post === id);
  return { ...kept, sentences: kept.sentences.map((one) => (needs(one) ? emptied(one) : one)) };
}

/** An answer as it can be shown now, from the posts that still exist. */
export function restoreAnswer(kept, posts, since) {
  const sentences = kept.sentences.map((one) => restore(one, posts, since));
  const sources = kept.sources.map((id) => sourceOf(id, posts.get(id)));
  return { ...NOTHING, ...kept, sentences, sources, finished: true };
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
