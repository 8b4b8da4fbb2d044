"""The `openai` package works against the server; skipped where it is not installed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from serving import ANSWERABLE, Served

openai = pytest.importorskip("openai", reason="the openai package is not installed")


def client(served: Served, **options: Any) -> Any:
    return openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", **options)


def ask(lang: str) -> dict[str, Any]:
    return {"model": "madang", "messages": [{"role": "user", "content": ANSWERABLE[lang][0]}]}


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_a_completion_is_read_with_its_citations(reading: Served, lang: str) -> None:
    with client(reading) as api:
        completion = api.chat.completions.create(**ask(lang))
    message = completion.choices[0].message
    assert message.role == "assistant" and message.content
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage.total_tokens > 0
    assert message.annotations
    for annotation in message.annotations:
        citation = annotation.url_citation
        assert message.content[citation.start_index : citation.end_index].startswith("[")
    assert completion.model_extra["search_results"]


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_a_stream_is_read_to_its_end(reading: Served, lang: str) -> None:
    with client(reading) as api:
        whole = api.chat.completions.create(**ask(lang)).choices[0].message.content
        stream = api.chat.completions.create(
            **ask(lang), stream=True, stream_options={"include_usage": True}
        )
        chunks = list(stream)
    text = "".join(one.choices[0].delta.content or "" for one in chunks if one.choices)
    assert text == whole
    assert chunks[0].model_extra["search_results"]
    assert chunks[-1].usage.total_tokens > 0
    assert chunks[-2].choices[0].finish_reason == "stop"


def test_the_helper_that_gathers_a_stream_works(reading: Served) -> None:
    with client(reading) as api, api.chat.completions.stream(**ask("en")) as stream:
        for _ in stream:
            pass
        completion = stream.get_final_completion()
    assert completion.choices[0].message.content


def test_the_asynchronous_client_works(reading: Served) -> None:
    async def scenario() -> str:
        async with openai.AsyncOpenAI(base_url=f"{reading.url}/v1", api_key="none") as api:
            completion = await api.chat.completions.create(**ask("ko"))
            return completion.choices[0].message.content

    assert asyncio.run(scenario())


def test_a_conversation_goes_on_with_the_message_that_came(reading: Served) -> None:
    with client(reading) as api:
        first = api.chat.completions.create(**ask("en")).choices[0].message
        messages = [*ask("en")["messages"], first, {"role": "user", "content": "안녕하세요"}]
        assert api.chat.completions.create(model="madang", messages=messages).choices


def test_models_are_listed(reading: Served) -> None:
    with client(reading) as api:
        assert [one.id for one in api.models.list()] == ["madang"]
        assert api.models.retrieve("madang").owned_by == "madang"
        with pytest.raises(openai.NotFoundError):
            api.models.retrieve("gpt-5")


def test_errors_arrive_as_the_package_knows_them(reading: Served) -> None:
    with client(reading) as api:
        with pytest.raises(openai.BadRequestError) as refused:
            api.chat.completions.create(**ask("en"), n=2)
        assert refused.value.param == "n" and refused.value.code == "unsupported_value"
        assert refused.value.request_id
        with pytest.raises(openai.NotFoundError):
            api.chat.completions.create(**{**ask("en"), "model": "gpt-5"})


def test_the_brake_is_an_error_that_is_not_tried_again(served: Served) -> None:
    served.home.stop()
    with client(served, max_retries=5) as api, pytest.raises(openai.InternalServerError) as error:
        api.chat.completions.create(**ask("en"))
    assert error.value.code == "stopped"
    assert 'status="503"} 1.0' in served.client.get("/metrics").text
