from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from madang.answer import Request, Turn
from madang.server.chat_request import (
    MAX_QUESTION_CHARACTERS,
    MAX_TOKENS,
    ChatCompletionRequest,
)
from madang.server.errors import ApiError, invalid, parameter_name
from madang.server.parameters import WITHOUT_EFFECT

USER = {"role": "user", "content": "When does the ferry leave?"}


def read(**parameters: Any) -> Request:
    """What is asked by a request; raises ApiError as a client would see it."""
    body = {"model": "madang", "messages": [USER], **parameters}
    try:
        return ChatCompletionRequest.model_validate(body).question()
    except ValidationError as error:
        raise invalid(error.errors()) from None


def refusal(**parameters: Any) -> ApiError:
    with pytest.raises(ApiError) as refused:
        read(**parameters)
    assert refused.value.status in (400, 404)
    return refused.value


def test_the_last_message_is_the_question_and_the_others_its_history() -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": "Be kind."},
        {"role": "user", "content": "안녕하세요"},
        {"role": "assistant", "content": "네, 안녕하세요."},
        {"role": "user", "content": [{"type": "text", "text": one} for one in ("배는", "언제?")]},
    ]
    assert read(messages=messages) == Request(
        "배는\n언제?",
        (
            Turn("system", "Be brief."),
            Turn("system", "Be kind."),
            Turn("user", "안녕하세요"),
            Turn("assistant", "네, 안녕하세요."),
        ),
    )


def test_what_is_not_said_is_left_to_the_answer() -> None:
    assert read() == Request("When does the ferry leave?")


def test_what_is_honoured_arrives() -> None:
    request = read(max_completion_tokens=50, temperature=0.5, seed=7, stop=["\n", "END"])
    assert (request.max_tokens, request.temperature, request.seed) == (50, 0.5, 7)
    assert request.stop == ("\n", "END")
    assert read(max_tokens=10**9).max_tokens == MAX_TOKENS
    assert read(max_tokens=60, max_completion_tokens=40).max_tokens == 40
    assert read(stop="END").stop == ("END",)
    assert 0 <= read(seed=-1).seed < 1 << 32
    assert read(temperature=0).temperature == 0


COMMON_DEFAULTS: dict[str, Any] = {
    "stream": False,
    "stream_options": None,
    "user": "u-1",
    "seed": 1,
    "temperature": 1.0,
    "top_p": 1.0,
    "n": 1,
    "stop": None,
    "max_tokens": None,
    "max_completion_tokens": 512,
    "store": False,
    "metadata": {"client": "x"},
    "parallel_tool_calls": True,
    "frequency_penalty": 0,
    "presence_penalty": 0.0,
    "service_tier": "auto",
    "logit_bias": {},
    "logprobs": False,
    "top_logprobs": None,
    "response_format": {"type": "text"},
    "modalities": ["text"],
    "tools": [],
    "tool_choice": "none",
    "safety_identifier": "s",
    "prompt_cache_key": "k",
}


@pytest.mark.parametrize("name", COMMON_DEFAULTS)
def test_the_defaults_of_common_clients_work(name: str) -> None:
    read(**{name: COMMON_DEFAULTS[name]})


def test_all_of_them_work_at_once() -> None:
    read(**COMMON_DEFAULTS)


@pytest.mark.parametrize("name", [*WITHOUT_EFFECT, *ChatCompletionRequest.model_fields])
def test_null_stands_for_absent(name: str) -> None:
    if name in ("model", "messages"):
        assert refusal(**{name: None}).param == name
    else:
        assert read(**{name: None}) == read()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n", 2),
        ("n", 0),
        ("n", True),
        ("tools", [{"type": "function", "function": {"name": "f"}}]),
        ("tool_choice", "required"),
        ("tool_choice", {"type": "function", "function": {"name": "f"}}),
        ("functions", [{"name": "f"}]),
        ("function_call", {"name": "f"}),
        ("logprobs", True),
        ("top_logprobs", 3),
        ("top_logprobs", 0),
        ("response_format", {"type": "json_object"}),
        ("response_format", {"type": "json_schema", "json_schema": {"name": "x"}}),
        ("audio", {"voice": "alloy", "format": "wav"}),
        ("modalities", ["text", "audio"]),
        ("logit_bias", {"50256": -100}),
        ("store", True),
        ("service_tier", "priority"),
        ("frequency_penalty", 0.5),
        ("presence_penalty", -1),
        ("prediction", {"type": "content", "content": "x"}),
        ("reasoning_effort", "high"),
        ("verbosity", "high"),
        ("web_search_options", {}),
        ("moderation", {"model": "x"}),
    ],
)
def test_what_is_not_done_here_is_refused_by_name(name: str, value: Any) -> None:
    error = refusal(**{name: value})
    assert (error.status, error.param) == (400, name)
    assert error.code in ("unsupported_parameter", "unsupported_value")
    assert name in error.message


@pytest.mark.parametrize("name", ["top_k", "min_p", "Messages", "max_token", "가", "__proto__"])
def test_an_unknown_parameter_is_refused_by_name(name: str) -> None:
    error = refusal(**{name: None})
    assert (error.code, error.param) == ("unknown_parameter", name)


def last(**message: Any) -> list[dict[str, Any]]:
    return [USER, {"role": "user", **message}]


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}


@pytest.mark.parametrize(
    ("parameters", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": {}}, "messages"),
        ({"messages": [USER] * 2001}, "messages"),
        ({"messages": ["hello"]}, "messages[0]"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "function", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "king", "content": "x"}]}, "messages[0].role"),
        ({"messages": last(content=None)}, "messages[1].content"),
        ({"messages": last(content=7)}, "messages[1].content"),
        ({"messages": last(content=[IMAGE])}, "messages[1].content"),
        ({"messages": last(content=[{"type": "text", "text": "x"}, IMAGE])}, "messages[1].content"),
        ({"messages": last(content=[{"type": "input_audio"}])}, "messages[1].content"),
        ({"messages": last(content=[{"type": "text"}])}, "messages[1].content[0].text"),
        ({"messages": last(content=[])}, "messages[1].content"),
        ({"messages": last(content=" \n ")}, "messages[1].content"),
        ({"messages": last(content="가" * (MAX_QUESTION_CHARACTERS + 1))}, "messages[1].content"),
        ({"messages": last(content="\ud800")}, "messages[1].content"),
        ({"messages": last(content="x", tool_calls=[{}])}, "messages[1].tool_calls"),
        ({"messages": [USER, {"role": "assistant", "content": "x"}]}, "messages[1].role"),
        ({"model": "gpt-5"}, "model"),
        ({"model": ""}, "model"),
        ({"model": 7}, "model"),
        ({"temperature": 2.5}, "temperature"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_completion_tokens": -5}, "max_completion_tokens"),
        ({"seed": 1.5}, "seed"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"stop": ""}, "stop"),
        ({"stop": ["a", ""]}, "stop"),
        ({"stream": "maybe"}, "stream"),
        ({"stream_options": {"include_everything": True}}, "stream_options.include_everything"),
    ],
)
def test_a_mistake_is_refused_by_name(parameters: dict[str, Any], param: str) -> None:
    error = refusal(**parameters)
    assert error.param == param
    assert len(error.message) < 300


def test_a_picture_is_refused_as_what_it_is() -> None:
    assert refusal(messages=last(content=[IMAGE])).code == "unsupported_content"


def test_an_unknown_model_is_not_found() -> None:
    error = refusal(model="gpt-5")
    assert (error.status, error.code) == (404, "model_not_found")


def test_an_answer_can_be_sent_back_as_it_came() -> None:
    came = {"role": "assistant", "content": "At 7:40 [1]", "refusal": None, "annotations": [{}]}
    came |= {"tool_calls": None, "function_call": None, "audio": None}
    assert read(messages=[USER, came, USER]).history[1] == Turn("assistant", "At 7:40 [1]")


@pytest.mark.parametrize(
    ("location", "name"),
    [
        (("body", "messages", 0, "content", "str"), "messages[0].content"),
        (("body", "messages", 3, "content", "list[TextPart]", 1), "messages[3].content[1]"),
        (("query", "limit"), "limit"),
        (("body",), None),
        ((), None),
    ],
)
def test_places_are_named_as_openai_names_them(
    location: tuple[str | int, ...], name: str | None
) -> None:
    assert parameter_name(location) == name


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
NAMES = st.sampled_from([*WITHOUT_EFFECT, *ChatCompletionRequest.model_fields])


@given(st.dictionaries(NAMES | st.text(max_size=5), JSON, max_size=4))
def test_any_body_is_read_or_refused_with_reason(body: dict[str, Any]) -> None:
    try:
        request = ChatCompletionRequest.model_validate(body).question()
    except ValidationError as error:
        refused = invalid(error.errors())
    except ApiError as error:
        refused = error
    else:
        assert request.question
        return
    assert refused.status in (400, 404)
    assert refused.message
    assert set(refused.body()["error"]) == {"message", "type", "param", "code"}
