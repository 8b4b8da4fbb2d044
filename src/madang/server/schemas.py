"""The shapes of responses, as `/openapi.json` describes them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict

from madang.answer.answer import Route, SentenceKind
from madang.posts import Outcome


class Schema(BaseModel):
    """A shape that is described and not enforced: responses are written by hand, for speed."""

    model_config = ConfigDict(extra="forbid")


class ErrorDetail(Schema):
    """What went wrong; `param` names the parameter or field at fault."""

    message: str
    type: Literal["invalid_request_error", "rate_limit_error", "server_error"]
    param: str | None
    code: str


class Error(Schema):
    """Every failure has this shape."""

    error: ErrorDetail


class Health(Schema):
    """The server listens. `model` is `none` where the model cannot run; answers are quotes then."""

    status: Literal["ok"]
    model: Literal["loading", "ready", "none"]
    stopped: bool


class ModelCard(Schema):
    """A model as OpenAI lists it.

    `madang` stands for the one that speaks here: its `engine` is what words the answers, once it
    is loaded. Each other card is a model by its own name, and `speaks` marks that same one.
    """

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    engine: str | None
    speaks: bool


class ModelList(Schema):
    """All models."""

    object: Literal["list"]
    data: list[ModelCard]


class CitationOut(Schema):
    """A quote: code points `start` to `end` of the post's text. `n` numbers the source."""

    post: str
    quote: str
    start: int
    end: int
    n: int


class SentenceOut(Schema):
    """A sentence that passed its check."""

    text: str
    kind: SentenceKind
    citations: list[CitationOut]
    html: str


class AnswerOut(Schema):
    """A whole answer."""

    answer: str
    route: Route
    abstained: bool
    sentences: list[SentenceOut]
    evidence: list[str]
    as_of: datetime | None
    engine: str
    took_ms: dict[str, float]
    lang: str
    html: str


class SearchResultOut(Schema):
    """A post that was considered as evidence."""

    id: str
    title: str
    url: str | None
    date: datetime | None
    snippet: str


class UrlCitation(Schema):
    """The marker at code points `start_index` to `end_index` of the content stands for `url`."""

    url: str
    title: str
    start_index: int
    end_index: int


class Annotation(Schema):
    """A citation in the content."""

    type: Literal["url_citation"]
    url_citation: UrlCitation


class CompletionMessage(Schema):
    """The answer as a message."""

    role: Literal["assistant"]
    content: str
    refusal: None
    annotations: list[Annotation]


class CompletionChoice(Schema):
    """The one answer."""

    index: Literal[0]
    message: CompletionMessage
    logprobs: None
    finish_reason: Literal["stop"]


class Usage(Schema):
    """Tokens of the conversation that was sent and of the content that came back."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    estimated: bool = False


class AnswerExtension(Schema):
    """The answer with everything that OpenAI's shape has no place for."""

    answer: AnswerOut


class ChatCompletion(Schema):
    """A whole answer."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: Usage
    search_results: list[SearchResultOut]
    madang: AnswerExtension


class HitOut(Schema):
    """A post that was found; `highlights` are code-point offsets into its text."""

    id: str
    source: str
    author: str | None
    author_name: str | None
    created_at: datetime | None
    lang: str
    text: str
    score: float
    highlights: list[tuple[int, int]]
    url: str | None


class SearchResponse(Schema):
    """Posts that were found, best or newest first."""

    took_ms: float
    hits: list[HitOut]


class MediaOut(Schema):
    """A picture, sound or film of a post."""

    kind: str
    url: str | None = None
    alt: str | None = None
    digest: str | None = None
    path: str | None = None


class PostOut(Schema):
    """A post; fields that it does not have are left out."""

    id: str
    source: str
    text: str
    author: str | None = None
    author_name: str | None = None
    created_at: datetime | None = None
    edited_at: datetime | None = None
    lang: str
    reply_to: str | None = None
    thread: str | None = None
    quote_of: str | None = None
    media: list[MediaOut] | None = None
    tags: list[str] | None = None
    visibility: Literal["public", "unlisted"]
    sensitive: bool | None = None
    url: str | None = None
    metrics: dict[str, int] | None = None


class PostWithThread(PostOut):
    """A post, and at most twenty posts of its thread around it, oldest first, itself included."""

    thread_posts: list[PostOut]


class Changed(Schema):
    """What became of a write or an erasure."""

    id: str
    object: Literal["post", "author"]
    outcome: Outcome


class CurvePoint(Schema):
    """Steps of a run, summed up: means of loss (nats a token), bits per byte and tokens/s."""

    step: int | None
    seconds: float | None
    tokens: int | None
    loss: float | None
    bits_per_byte: float | None
    tokens_per_second: float | None


class CurveOut(Schema):
    """How a run went so far; figures without points are the newest step's."""

    points: list[CurvePoint]
    evaluations: list[dict[str, Any]]
    step: int | None
    tokens: int | None
    tokens_per_second: float | None
    peak_share: float | None
    sample: str | None


class LearningNow(Schema):
    """What the model in the background does.

    `off`: it was not asked to learn; `absent`: the packages for it are not installed;
    `waiting`: it begins soon; `nothing`: no post may be learned from; `learning` with its
    `stage`; `learned`: its release speaks; `failed`; `stopped`: the emergency brake is on.
    """

    state: Literal[
        "off", "absent", "waiting", "nothing", "learning", "learned", "failed", "stopped"
    ]
    stage: str | None
    detail: str | None
    minutes: float
    seconds: float | None
    run: str | None
    release: str | None
    speaks: str
    bits_per_byte: dict[str, Any] | None
    curve: CurveOut


class RunOut(Schema):
    """A run: what it started from, how, and what became of it."""

    run: str
    state: Literal["running", "finished", "stopped", "failed"]
    detail: str | None
    started: datetime | None
    ended: datetime | None
    release: str | None
    base: str
    method: str | None
    objective: str | None
    minutes: float | None
    seed: int | None


class RunDetail(RunOut):
    """A run with its curve."""

    curve: CurveOut


class RunList(Schema):
    """All runs, newest first."""

    object: Literal["list"]
    data: list[RunOut]


class PageInfo(Schema):
    """What the chat page shows of this server."""

    name: Literal["Madang"]
    model: str
    speaks: str
    models: list[str]
    posts: int
    authors: int
    newest: datetime | None
    stopped: bool
    remote_engine: bool
    sources: list[str]
    examples: dict[str, list[str]]


ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    "4XX": {"model": Error, "description": "The request is refused."},
    "5XX": {"model": Error, "description": "The server cannot do it now."},
}

STREAM: Final[dict[str, Any]] = {
    "text/event-stream": {
        "schema": {
            "type": "string",
            "description": "`chat.completion.chunk` objects, one a `data:` line, then `[DONE]`; "
            "sent where the request says `stream`. See docs/api.md.",
        }
    }
}
