"""The body of a chat completion: pieces out of a stream of events, or out of one JSON reply."""

from __future__ import annotations

from typing import Any, Final

import orjson

from madang.engines.engine import Piece
from madang.engines.sse import EventStream

_MAX_REPLY_BYTES: Final = 8 << 20


class ReplyParser:
    """Reads the body of a reply as it arrives.

    Some servers answer a request for a stream with one JSON object; that is read too. Every
    method raises ValueError with a sentence where the body is not a chat completion.
    """

    def __init__(self, content_type: str) -> None:
        self.finished = False
        self._complete = False
        self._events: EventStream | None = None
        self._body = bytearray()
        if not content_type.startswith("application/json"):
            self._events = EventStream()
            if content_type and not content_type.startswith("text/event-stream"):
                raise ValueError(
                    f"it answered with {content_type.split(';')[0]} in place of a stream; "
                    "check that it is the address of an OpenAI-compatible server"
                )

    def feed(self, chunk: bytes) -> list[Piece]:
        """Return the pieces that this chunk completes."""
        if self._events is None:
            self._body += chunk
            if len(self._body) > _MAX_REPLY_BYTES:
                raise ValueError(f"its reply is longer than {_MAX_REPLY_BYTES} bytes")
            return []
        pieces: list[Piece] = []
        for data in self._events.feed(chunk):
            if data.strip() == "[DONE]":
                self.finished = True
                break
            piece = self._piece(_object(data), "delta")
            if piece is not None:
                pieces.append(piece)
        return pieces

    def end(self) -> list[Piece]:
        """Return what is left when the body ends, and check that it ended where it should."""
        if self._events is None:
            piece = self._piece(_object(self._body), "message")
            return [piece] if piece is not None else []
        if not (self.finished or self._complete):
            raise ValueError("it broke off in the middle of an answer; see the server's log")
        return []

    def _piece(self, reply: dict[str, Any], part: str) -> Piece | None:
        error = reply.get("error")
        if error:
            said = error.get("message") if isinstance(error, dict) else error
            raise ValueError(f"it failed while it answered: {' '.join(str(said).split())[:200]}")
        choices = reply.get("choices")
        if not isinstance(choices, list):
            raise ValueError("an event of its stream is not a chat completion")
        if not choices:
            return None
        choice = choices[0]
        if not isinstance(choice, dict):
            raise ValueError("an event of its stream is not a chat completion")
        if choice.get("finish_reason"):
            self._complete = True
        message = choice.get(part)
        text = message.get("content") if isinstance(message, dict) else None
        if not isinstance(text, str) or not text:
            return None
        return Piece(text, _logprob(choice.get("logprobs")))


def _object(data: str | bytes | bytearray) -> dict[str, Any]:
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise ValueError("its reply is not the JSON of a chat completion")
    return value


def _logprob(logprobs: object) -> float | None:
    """Return the log-probability of a piece: the sum over its tokens."""
    tokens = logprobs.get("content") if isinstance(logprobs, dict) else None
    if not isinstance(tokens, list) or not tokens:
        return None
    values = [token.get("logprob") if isinstance(token, dict) else None for token in tokens]
    if not all(isinstance(value, int | float) for value in values):
        return None
    return float(sum(value for value in values if value is not None))
