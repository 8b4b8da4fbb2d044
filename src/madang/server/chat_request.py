"""The body of a chat completion, and the question that it puts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)
from pydantic_core import PydanticCustomError

from madang.answer import Request, Turn
from madang.server.errors import ApiError
from madang.server.parameters import WITHOUT_EFFECT, without_tolerated

MODEL: Final = "madang"
MAX_MESSAGES: Final = 2000
MAX_QUESTION_CHARACTERS: Final = 16_000
# The context of a small model holds the evidence, the conversation and this.
MAX_TOKENS: Final = 1024
_SEED_BITS: Final = (1 << 32) - 1


def _text_alone(content: object) -> object:
    for part in content if isinstance(content, list) else ():
        kind = part.get("type") if isinstance(part, Mapping) else None
        if isinstance(kind, str) and kind != "text":
            raise PydanticCustomError("unsupported_content", "only text is understood here")
    return content


def whole_characters(text: str) -> str:
    """Return a text as it is. Raises ValueError where it holds halves of surrogate pairs."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("halves of surrogate pairs are no characters") from None
    return text


Text = Annotated[str, AfterValidator(whole_characters)]


def _no_empty(stops: object) -> object:
    if "" in (stops if isinstance(stops, list) else [stops]):
        raise PydanticCustomError("invalid_value", "an empty text ends everything")
    return stops


class TextPart(BaseModel):
    """A part of a message; text is the only kind that is understood."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["text"]
    text: Text


# The discriminator makes errors name the part at fault; tags that are no names stay out of them.
Content = Annotated[
    Annotated[Text, Tag("str")] | Annotated[list[TextPart], Tag("list[TextPart]")],
    Discriminator(lambda content: "list[TextPart]" if isinstance(content, list) else "str"),
    BeforeValidator(_text_alone),
]


class ChatMessage(BaseModel):
    """One message of the conversation."""

    model_config = ConfigDict(extra="forbid")

    role: Literal["system", "developer", "user", "assistant"]
    content: Content
    name: str | None = Field(None, description="Accepted without effect.")
    refusal: None = None
    tool_calls: None = None
    function_call: None = None
    audio: None = None
    annotations: list[dict[str, Any]] | None = Field(
        None, description="Of an earlier answer, sent back as it came; accepted without effect."
    )

    @property
    def text(self) -> str:
        """The content as one text."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part.text for part in self.content)


class StreamOptions(BaseModel):
    """Options of a streamed answer."""

    model_config = ConfigDict(extra="forbid")

    include_usage: bool | None = None
    include_obfuscation: bool | None = Field(None, description="Accepted without effect.")


def _with_tolerated(schema: dict[str, Any]) -> None:
    for name, parameter in WITHOUT_EFFECT.items():
        schema["properties"][name] = parameter.schema()


class ChatCompletionRequest(BaseModel):
    """A request for an answer. A null stands for a parameter that is absent."""

    model_config = ConfigDict(
        extra="forbid", allow_inf_nan=False, json_schema_extra=_with_tolerated
    )

    model: str = Field(
        description=f"`{MODEL}`, the model that speaks here, or another of `GET /v1/models`."
    )
    messages: list[ChatMessage] = Field(
        description="The conversation. The last message is the user's: the question.",
        min_length=1,
        max_length=MAX_MESSAGES,
    )
    stream: bool | None = Field(None, description="Send the answer sentence by sentence.")
    stream_options: StreamOptions | None = Field(
        None, description="`include_usage` adds a last chunk that counts tokens."
    )
    max_completion_tokens: int | None = Field(
        None, ge=1, description=f"The most tokens that the model writes, up to {MAX_TOKENS}."
    )
    max_tokens: int | None = Field(
        None, ge=1, description="The older name of `max_completion_tokens`."
    )
    temperature: float | None = Field(
        None, ge=0, le=2, description="How freely the model words an answer; 0 by default."
    )
    seed: int | None = Field(None, description="The same seed makes the same answer.")
    stop: Annotated[
        Text | Annotated[list[Text], Field(max_length=4)] | None, BeforeValidator(_no_empty)
    ] = Field(None, description="Up to four texts at which the model stops writing.")

    @model_validator(mode="before")
    @classmethod
    def _tolerate(cls, body: object) -> object:
        return without_tolerated(body) if isinstance(body, Mapping) else body

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with a count of tokens."""
        return bool(self.stream_options and self.stream_options.include_usage)

    @property
    def named(self) -> str | None:
        """The model that is to answer; none for the one that speaks here."""
        return None if self.model == MODEL else self.model

    def question(self, knows: Callable[[str], bool] = lambda name: False) -> Request:
        """Return what is asked. `knows` tells whether there is a model of a name.

        Raises ApiError where there is none, or where the messages put no question.
        """
        if self.named is not None and not knows(self.named):
            raise ApiError(
                404,
                f"there is no model {self.model[:80]!r} here; ask for {MODEL!r}",
                code="model_not_found",
                param="model",
            )
        last = len(self.messages) - 1
        asked = self.messages[last]
        if asked.role != "user":
            raise ApiError(
                400,
                "the last message is the question and comes from the user",
                code="invalid_value",
                param=f"messages[{last}].role",
            )
        param = f"messages[{last}].content"
        if not asked.text.strip():
            raise ApiError(400, "the question is empty", code="invalid_value", param=param)
        if len(asked.text) > MAX_QUESTION_CHARACTERS:
            raise ApiError(
                400,
                f"the question is longer than {MAX_QUESTION_CHARACTERS} characters; shorten it",
                code="context_length_exceeded",
                param=param,
            )
        given: dict[str, Any] = {
            "max_tokens": self.max_completion_tokens or self.max_tokens,
            "temperature": self.temperature,
            "seed": None if self.seed is None else self.seed & _SEED_BITS,
            "stop": (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ()),
        }
        if given["max_tokens"] is not None:
            given["max_tokens"] = min(given["max_tokens"], MAX_TOKENS)
        return Request(
            asked.text,
            tuple(_turn(message) for message in self.messages[:-1]),
            **{name: value for name, value in given.items() if value is not None},
        )


def _turn(message: ChatMessage) -> Turn:
    return Turn("system" if message.role == "developer" else message.role, message.text)
