"""An answer's steps in the shape of OpenAI's chat completions, with what Madang adds to it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, urlsplit

from madang.answer import (
    Answer,
    ExtractReady,
    Finished,
    Sentence,
    SentenceChecked,
    SourcesFound,
    Step,
)
from madang.posts import Post
from madang.posts.post import format_time
from madang.server.chat_request import MODEL
from madang.server.rendering import render_answer, render_sentence

SNIPPET_CHARACTERS: Final = 240

Chunk = dict[str, Any]


@dataclass(slots=True)
class Reply:
    """One answer on its way out: numbers sources, keeps the content that was sent.

    `base_url` is where this server's posts can be opened, for posts without an address of their
    own; `model` is the name that was asked for.
    """

    base_url: str
    model: str = MODEL
    # The name of the model that words the answer, or none where it is quotes alone.
    engine: str | None = None
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))
    content: str = ""
    answer: Answer | None = None
    search_results: list[dict[str, Any]] = field(default_factory=list)
    annotations: list[dict[str, Any]] = field(default_factory=list)
    _numbers: dict[str, int] = field(default_factory=dict)
    _sent: list[Sentence] = field(default_factory=list)
    _posts: dict[str, Post] = field(default_factory=dict)

    def chunks(self, step: Step) -> Iterator[Chunk]:
        """Yield the chunks that one step of the answer becomes."""
        match step:
            case SourcesFound(route, evidence):
                self._know(evidence)
                self.search_results = [self._search_result(post) for post in evidence]
                yield self._chunk(
                    {"role": "assistant", "content": ""},
                    {
                        "event": "sources",
                        "route": route,
                        "engine": self.engine,
                        "search_results": self.search_results,
                    },
                    search_results=self.search_results,
                )
            case ExtractReady(sentences):
                yield self._chunk(
                    {"content": ""},
                    {"event": "extract", "sentences": [self._sentence(one) for one in sentences]},
                )
            case SentenceChecked(sentence):
                yield self._spoken(sentence)
            case Finished(answer):
                self._know(answer.evidence)
                for sentence in answer.sentences:
                    if sentence not in self._sent:
                        yield self._spoken(sentence)
                self.answer = answer
                yield self._chunk(
                    {"annotations": self.annotations},
                    {"event": "finished", "answer": self._answer(answer)},
                    finish_reason="stop",
                )

    def usage_chunk(self, usage: dict[str, Any]) -> Chunk:
        """Return the chunk that counts tokens, the last one where it was asked for."""
        return {**self._head("chat.completion.chunk"), "choices": [], "usage": usage}

    def completion(self, usage: dict[str, Any]) -> dict[str, Any]:
        """Return the whole answer as one chat completion."""
        assert self.answer is not None, "an answer ends with its last step"
        message = {
            "role": "assistant",
            "content": self.content,
            "refusal": None,
            "annotations": self.annotations,
        }
        return {
            **self._head("chat.completion"),
            "choices": [
                {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
            ],
            "usage": usage,
            "search_results": self.search_results,
            "madang": {"answer": self._answer(self.answer)},
        }

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}

    def _chunk(
        self,
        delta: dict[str, Any],
        event: dict[str, Any],
        *,
        finish_reason: str | None = None,
        **more: Any,
    ) -> Chunk:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        head = self._head("chat.completion.chunk")
        return {**head, "choices": [choice], **more, "madang": event}

    def _spoken(self, sentence: Sentence) -> Chunk:
        """Send one sentence: its text with the numbers of its sources after it."""
        shown = self._sentence(sentence)
        words = (" " if self.content else "") + sentence.text
        start = len(self.content) + len(words)
        for number in dict.fromkeys(citation["n"] for citation in shown["citations"]):
            marker = f" [{number}]"
            words += marker
            post = next(id for id, n in self._numbers.items() if n == number)
            self.annotations.append(self._annotation(post, start + 1, start + len(marker)))
            start += len(marker)
        self.content += words
        self._sent.append(sentence)
        return self._chunk({"content": words}, {"event": "sentence", "sentence": shown})

    def _annotation(self, post: str, start: int, end: int) -> dict[str, Any]:
        return {
            "type": "url_citation",
            "url_citation": {
                "url": self._address(post),
                "title": _title(self._posts.get(post)),
                "start_index": start,
                "end_index": end,
            },
        }

    def _sentence(self, sentence: Sentence) -> dict[str, Any]:
        return {
            "text": sentence.text,
            "kind": sentence.kind,
            "citations": [
                {
                    "post": one.post,
                    "quote": one.quote,
                    "start": one.start,
                    "end": one.end,
                    "n": self._numbers.setdefault(one.post, len(self._numbers) + 1),
                }
                for one in sentence.citations
            ],
            "html": render_sentence(sentence),
        }

    def _answer(self, answer: Answer) -> dict[str, Any]:
        return {
            **answer.to_dict(),
            "sentences": [self._sentence(one) for one in answer.sentences],
            "lang": answer.lang,
            "html": render_answer(answer),
        }

    def _search_result(self, post: Post) -> dict[str, Any]:
        return {
            "id": post.id,
            "title": _title(post),
            "url": _web_address(post),
            "date": format_time(post.created_at) if post.created_at else None,
            "snippet": snippet(post.text),
        }

    def _know(self, posts: Sequence[Post]) -> None:
        self._posts.update({post.id: post for post in posts})

    def _address(self, post: str) -> str:
        """Return where a post can be opened: its own address on the web, else here."""
        known = self._posts.get(post)
        there = _web_address(known) if known is not None else None
        return there or f"{self.base_url}/v1/posts/{quote(post, safe='')}"


def snippet(text: str) -> str:
    """Return the beginning of a text on one line, cut between words where there are any."""
    line = " ".join(text.split())
    if len(line) <= SNIPPET_CHARACTERS:
        return line
    cut = line[: SNIPPET_CHARACTERS - 1]
    words = cut.rpartition(" ")[0]
    return (words if len(words) > SNIPPET_CHARACTERS // 2 else cut) + "…"


def _title(post: Post | None) -> str:
    return (post.author_name or post.author or "") if post is not None else ""


def _web_address(post: Post) -> str | None:
    return next((one for one in (post.url, post.id) if one and _is_web(one)), None)


def _is_web(address: str) -> bool:
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)
