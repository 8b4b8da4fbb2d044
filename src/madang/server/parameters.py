"""Parameters of OpenAI's chat completions that have no effect here, and what is said of them.

`docs/api.md` has the same list for people; a test keeps the two in step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from madang.server.errors import ApiError


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter without effect and why that is.

    `harmless` are the values that ask for nothing; others are refused. None stands for any value.
    """

    why: str
    harmless: tuple[Any, ...] | None = None

    @property
    def accepted(self) -> bool:
        """Whether a request may carry it at all with a value other than null."""
        return self.harmless is None or bool(self.harmless)

    def takes(self, value: object) -> bool:
        """Return whether a request with this value is served."""
        if value is None or self.harmless is None:
            return True
        # In Python True is 1 and False is 0; in JSON they are not.
        return any(
            value == one and isinstance(value, bool) is isinstance(one, bool)
            for one in self.harmless
        )

    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of the values that are taken."""
        if not self.accepted:
            return {"type": "null", "description": f"Refused: {self.why}."}
        described = {"description": f"Accepted without effect: {self.why}."}
        return described if self.harmless is None else {"enum": [*self.harmless, None], **described}


_NOT_STORED: Final = "requests are not stored"
_NOT_FOLLOWED: Final = "nobody is followed from one request to the next"
_OWN_CACHE: Final = "what the engine keeps of a prompt is its own affair"
_ONE_ANSWER: Final = "one answer is made, from what the posts support"
_POSTS_WORDS: Final = "the words of an answer are those of its posts"
_WHOLE_SENTENCES: Final = "sentences are checked as wholes, so tokens carry no probabilities"
_TEXT: Final = "answers are text"
_NO_TOOLS: Final = "answers come from posts and no tools are called"

WITHOUT_EFFECT: Final[Mapping[str, Parameter]] = {
    "top_p": Parameter("every sentence is checked, however it was drawn"),
    "user": Parameter(_NOT_FOLLOWED),
    "safety_identifier": Parameter(_NOT_FOLLOWED),
    "metadata": Parameter(_NOT_STORED),
    "store": Parameter(_NOT_STORED, (False,)),
    "service_tier": Parameter("there is one tier", ("auto", "default")),
    "parallel_tool_calls": Parameter(_NO_TOOLS),
    "prompt_cache_key": Parameter(_OWN_CACHE),
    "prompt_cache_options": Parameter(_OWN_CACHE),
    "prompt_cache_retention": Parameter(_OWN_CACHE),
    "n": Parameter(_ONE_ANSWER, (1,)),
    "frequency_penalty": Parameter(_POSTS_WORDS, (0,)),
    "presence_penalty": Parameter(_POSTS_WORDS, (0,)),
    "logit_bias": Parameter(_POSTS_WORDS, ({},)),
    "logprobs": Parameter(_WHOLE_SENTENCES, (False,)),
    "response_format": Parameter(_TEXT, ({"type": "text"},)),
    "modalities": Parameter(_TEXT, (["text"],)),
    "tools": Parameter(_NO_TOOLS, ([],)),
    "tool_choice": Parameter(_NO_TOOLS, ("none", "auto")),
    "functions": Parameter(_NO_TOOLS, ([],)),
    "function_call": Parameter(_NO_TOOLS, ("none", "auto")),
    "reasoning_effort": Parameter("the model does not reason before it answers", ("none",)),
    "verbosity": Parameter("an answer is as long as what the posts support", ("medium",)),
    "top_logprobs": Parameter(_WHOLE_SENTENCES, ()),
    "audio": Parameter(_TEXT, ()),
    "prediction": Parameter("an answer is no edit of a text that is known", ()),
    "moderation": Parameter("what may be said is decided by the check of every sentence", ()),
    "web_search_options": Parameter("answers come from the community's posts, not the web", ()),
}


def without_tolerated(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a request that have an effect.

    Raises ApiError for one whose value asks for what is not done here.
    """
    kept = {}
    for name, value in body.items():
        parameter = WITHOUT_EFFECT.get(name)
        if parameter is None:
            kept[name] = value
        elif not parameter.takes(value):
            raise _refusal(name, parameter)
    return kept


def _refusal(name: str, parameter: Parameter) -> ApiError:
    if not parameter.accepted:
        message = f"`{name}` is not supported: {parameter.why}"
        return ApiError(400, message, code="unsupported_parameter", param=name)
    message = f"this value of `{name}` is not supported: {parameter.why}"
    return ApiError(400, message, code="unsupported_value", param=name)
