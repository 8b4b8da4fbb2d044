"""The server with the embedded model: prose, own words, a reader who leaves, memory."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import httpx
import pytest
from serving import ANSWERABLE, Asker, Served, asking, events, soon
from test_chat_api import assert_annotations_fit, content, of_event, with_markers
from test_serving_process import process, wait_for_model

from madang.engines import EmbeddedEngine

MEMORY_LIMIT_BYTES = 700e6


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_what_was_sent_is_what_counts_in_the_end(with_model: Served, lang: str) -> None:
    chunks = with_model.stream(ANSWERABLE[lang][0], stream_options={"include_usage": True})
    (finished,) = of_event(chunks, "finished")
    answer = finished["madang"]["answer"]
    assert answer["engine"]
    assert content(chunks) == " ".join(with_markers(one) for one in answer["sentences"])
    assert [one["madang"]["sentence"] for one in of_event(chunks, "sentence")] == answer[
        "sentences"
    ]
    cited = {one["n"] for sentence in answer["sentences"] for one in sentence["citations"]}
    assert cited
    assert_annotations_fit(content(chunks), finished["choices"][0]["delta"]["annotations"], cited)
    assert "estimated" not in chunks[-2]["usage"]
    assert chunks[-2]["usage"]["completion_tokens"] > 5


@pytest.mark.parametrize("greeting", ["hello there", "안녕하세요!"])
def test_own_words_carry_no_citations(with_model: Served, greeting: str) -> None:
    chunks = with_model.stream(greeting)
    assert chunks[0]["madang"]["route"] == "talk"
    assert chunks[0]["search_results"] == []
    (finished,) = of_event(chunks, "finished")
    answer = finished["madang"]["answer"]
    assert {sentence["kind"] for sentence in answer["sentences"]} == {"own"}
    assert not any(sentence["citations"] for sentence in answer["sentences"])
    assert finished["choices"][0]["delta"]["annotations"] == []


def test_the_page_and_the_models_list_name_the_engine(with_model: Served) -> None:
    name = with_model.client.get("/page/info").json()["model"]
    assert name
    assert with_model.client.get("/v1/models/madang").json()["engine"] == name
    assert with_model.client.get("/healthz").json()["model"] == "ready"


def test_a_reader_who_leaves_stops_the_embedded_model(with_model: Served) -> None:
    engine = with_model.home.model.ready
    assert isinstance(engine, EmbeddedEngine)
    reader = Asker(with_model, stream=True)
    before = processor_s(engine.process_id)
    assert soon(lambda: processor_s(engine.process_id) > before + 0.2, 20)
    assert with_model.queue() == (1, 0)
    reader.hang_up()
    assert soon(lambda: with_model.queue() == (0, 0), 1.0)
    # What the model reads at that moment it reads to its end; the poem would take seconds more.
    assert soon(lambda: rests(engine.process_id), 2.0)


def rests(process: int) -> bool:
    before = processor_s(process)
    time.sleep(0.3)
    return processor_s(process) < before + 0.06


def processor_s(process: int) -> float:
    """How long a process and its threads have been at work."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.slow
def test_server_and_model_take_less_than_700_megabytes(sample_folder: Path) -> None:
    with process(sample_folder) as (_, url), httpx.Client(base_url=url, timeout=60) as client:
        wait_for_model(client)
        if client.get("/healthz").json()["model"] == "none":
            pytest.skip("the embedded model cannot run here")
        for question, _ in list(ANSWERABLE.values()) * 2:
            response = client.post("/v1/chat/completions", json=asking(question, stream=True))
            assert events(response.text)[-1] == "[DONE]"
        told = client.get("/metrics").text
    found = re.findall(r"^(process|madang_engine)_resident_memory_bytes (\S+)$", told, re.M)
    assert len(found) == 2
    assert sum(float(value) for _, value in found) < MEMORY_LIMIT_BYTES
