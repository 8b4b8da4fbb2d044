// The conversation that is open: asks, stops, asks again, keeps and restores.

import { afterChunk, NOTHING, numbers, plainText, shown } from "./answer.js";
import { ask, Failure, fetchPosts } from "./api.js";
import { inNextFrame } from "./frames.js";
import { message } from "./i18n.js";
import * as store from "./store.js";
import { turnView } from "./turn.js";

const REMEMBERED_TURNS = 8;
const PATIENCE = 3;

/**
 * `log` is the element of the turns. `on` has what the rest of the page does: openPost, announce,
 * busy(now), changed(hasTurns), stopped(), and model(), which is asked or null.
 */
export class Chat {
  #log;
  #on;
  #about;
  #views = new Map();
  #conversation = store.newConversation();
  #running = null;

  constructor(log, { about, on }) {
    this.#log = log;
    this.#about = about;
    this.#on = on;
  }

  get id() {
    return this.#conversation.id;
  }

  /** Ask a question; false while another one is being answered. */
  ask(question) {
    if (this.#running) return false;
    const turn = newTurn({ question, asked: now(), kept: null });
    this.#conversation.turns.push(turn);
    this.#add(turn).scrollIntoView({ block: "start" });
    store.setOpenId(this.id);
    this.#on.changed(true);
    this.#run(turn);
    return true;
  }

  /** Stop what is being written; what has arrived stays. */
  stop() {
    this.#running?.abort();
  }

  /** Leave this conversation for an empty one. */
  startNew() {
    this.stop();
    this.#show(store.newConversation());
    store.setOpenId(null);
  }

  /** Open a kept conversation with the words of the posts that still exist; false if there is none. */
  async open(id) {
    const kept = store.keptConversation(id);
    if (!kept) return false;
    this.stop();
    const conversation = { id, turns: kept.turns.map(newTurn) };
    for (const turn of conversation.turns) turn.status = turn.kept ? "restoring" : "stopped";
    this.#show(conversation);
    store.setOpenId(id);
    this.#log.lastElementChild?.scrollIntoView({ block: "start", behavior: "instant" });
    const named = conversation.turns.flatMap((turn) => store.postsOf(turn.kept));
    const posts = await fetchPosts(named).catch(() => null);
    if (this.#conversation !== conversation) return true;
    for (const turn of conversation.turns.filter(({ status }) => status === "restoring")) {
      if (!posts) this.#change(turn, { status: "failed", failure: new Failure("offline") });
      else this.#restore(turn, posts);
    }
    for (const [post, found] of posts ?? []) if (found === null) this.forgetPost(post);
    return true;
  }

  #restore(turn, posts) {
    const status = turn.kept.stopped ? "stopped" : "done";
    this.#change(turn, { status, answer: store.restoreAnswer(turn.kept, posts, turn.asked) });
  }

  /** Look again for posts that were deleted since this page got them. */
  async recheck(turns = this.#conversation.turns) {
    const cited = turns.flatMap(({ answer }) => answer.sources.filter((one) => !one.gone));
    const posts = await fetchPosts(cited.map(({ id }) => id)).catch(() => new Map());
    for (const [id, post] of posts) if (post === null) this.forgetPost(id);
  }

  /** Take the words of a deleted post off the page and out of the browser. */
  forgetPost(id) {
    const names = ({ answer }) => answer.sources.some((one) => one.id === id);
    const touched = this.#conversation.turns.filter(names);
    for (const turn of touched) {
      const kept = turn.kept && store.withoutPost(turn.kept, id);
      this.#change(turn, { answer: withoutPost(turn.answer, id), kept });
    }
    if (touched.length > 0) store.keepConversation(this.#conversation);
  }

  retry(turn) {
    if (!this.#running) this.#run(turn);
  }

  #show(conversation) {
    this.#conversation = conversation;
    this.#views.clear();
    this.#log.replaceChildren();
    for (const turn of conversation.turns) this.#add(turn);
    this.#on.changed(conversation.turns.length > 0);
  }

  #add(turn) {
    const view = turnView(turn, {
      about: this.#about,
      openPost: this.#on.openPost,
      retry: (again) => this.retry(again),
    });
    this.#views.set(turn, view);
    this.#log.append(view.root);
    return view.root;
  }

  #draw(turn) {
    const view = this.#views.get(turn);
    if (view) inNextFrame(view.update);
  }

  #change(turn, changes) {
    Object.assign(turn, changes);
    this.#draw(turn);
  }

  async #run(turn) {
    const conversation = this.#conversation;
    const running = new AbortController();
    this.#running = running;
    this.#on.busy(true);
    this.#change(turn, newTurn({ question: turn.question, asked: now(), kept: null }));
    store.keepConversation(conversation);
    try {
      const before = remembered(conversation.turns, turn);
      // What was deleted since must not come back by way of what was said before.
      await this.recheck(before);
      running.signal.throwIfAborted();
      await this.#receive(turn, messagesFor(before, turn), running.signal);
      this.#change(turn, { status: "done", answer: settled(turn.answer) });
    } catch (error) {
      const answer = settled(turn.answer);
      if (error.name === "AbortError") this.#change(turn, { status: "stopped", failure: null, answer });
      else this.#change(turn, { status: "failed", failure: asFailure(error), answer });
    }
    if (turn.failure) this.#fail(turn.failure);
    if (this.#running === running) {
      this.#running = null;
      this.#on.busy(false);
    }
    await this.#keepAnswer(conversation, turn);
  }

  /** Keep an answer once the posts that it cites are there to be referred to. */
  async #keepAnswer(conversation, turn) {
    const { answer } = turn;
    const posts = await fetchPosts(numbers(answer).keys()).catch(() => null);
    if (posts === null || answer !== turn.answer || answer.sentences.length === 0) return;
    turn.kept = { ...store.keepable(answer, posts), stopped: turn.status !== "done" };
    // A conversation that was deleted meanwhile is not kept again.
    if (store.keptConversation(conversation.id)) store.keepConversation(conversation);
    for (const [id, post] of posts) if (post === null) this.forgetPost(id);
  }

  /** Receive one answer; where the server is busy, wait as long as it says and ask again. */
  async #receive(turn, messages, signal) {
    const heard = new Set();
    for (let attempt = 1; ; attempt += 1) {
      try {
        for await (const chunk of ask(messages, signal, this.#on.model())) {
          const before = turn.answer;
          const answer = afterChunk(before, chunk);
          this.#change(turn, { status: "streaming", failure: null, answer });
          if (answer !== before) this.#announce(answer, heard);
        }
        return;
      } catch (error) {
        if (error.reason !== "busy" || attempt === PATIENCE) throw error;
        await this.#countDown(turn, error, signal);
      }
    }
  }

  async #countDown(turn, failure, signal) {
    for (let seconds = failure.seconds; seconds > 0; seconds -= 1) {
      this.#change(turn, { failure: new Failure("waiting", "", seconds) });
      await pause(1000, signal);
    }
  }

  #announce(answer, heard) {
    for (const { text } of answer.sentences) {
      if (!heard.has(text)) this.#on.announce(text);
      heard.add(text);
    }
    if (answer.finished) this.#on.announce(message("announce.finished", { n: answer.sources.length }));
  }

  #fail(failure) {
    if (failure.reason === "stopped") this.#on.stopped();
    const { reason, detail, seconds } = failure;
    this.#on.announce(message(`failure.${reason}`, { seconds: seconds ?? 0, detail }));
  }
}

function newTurn({ question, asked, kept }) {
  return { question, asked, kept, status: "waiting", failure: null, answer: NOTHING };
}

function now() {
  return new Date().toISOString();
}

function remembered(turns, turn) {
  return turns.slice(0, turns.indexOf(turn)).slice(-REMEMBERED_TURNS);
}

/** What is sent: the question, and before it the turns that have an answer. */
function messagesFor(before, turn) {
  const told = before.flatMap(({ question, answer }) => {
    const said = plainText(answer);
    return said ? [{ role: "user", content: question }, { role: "assistant", content: said }] : [];
  });
  return [...told, { role: "user", content: turn.question }];
}

/** What has arrived is all there will be: quotes that were provisional stand. */
function settled(answer) {
  if (answer.finished) return answer;
  return { ...answer, sentences: shown(answer).map(({ sentence }) => sentence), extract: [], finished: true };
}

function withoutPost(answer, id) {
  const emptied = (sentence) => {
    if (!sentence.citations.some(({ post }) => post === id)) return sentence;
    const citations = sentence.citations.map((citation) => ({ ...citation, quote: "" }));
    return { kind: sentence.kind, text: "", citations, state: "gone" };
  };
  return {
    ...answer,
    extract: answer.extract.map(emptied),
    sentences: answer.sentences.map(emptied),
    sources: answer.sources.map((source) => (source.id === id ? { id, gone: true } : source)),
  };
}

function asFailure(error) {
  return error instanceof Failure ? error : new Failure("refused", error.message);
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}
