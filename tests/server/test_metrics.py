from __future__ import annotations

import re

from prometheus_client.parser import text_string_to_metric_families
from serving import ANSWERABLE, Served


def samples(served: Served) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    response = served.client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def value(served: Served, name: str, **labels: str) -> float:
    return samples(served).get((name, frozenset(labels.items())), 0.0)


def test_requests_are_counted_by_route(served: Served) -> None:
    served.post("town:0001")
    served.post("town:0002")
    served.post("x:404")
    served.client.get("/invented/by/a/client")
    route = {"method": "GET", "path": "/v1/posts/{id}"}
    assert value(served, "madang_requests_total", **route, status="200") == 2
    assert value(served, "madang_requests_total", **route, status="404") == 1
    assert value(served, "madang_request_seconds_count", path="/v1/posts/{id}") == 3
    paths = {dict(labels).get("path") for _, labels in samples(served)}
    assert not any(path and re.search("invented|town", path) for path in paths)


def test_answers_are_counted_with_their_stages_tokens_and_abstentions(served: Served) -> None:
    served.ask(ANSWERABLE["en"][0])
    served.ask("How fast can the ferry Saebyeok go?")
    assert value(served, "madang_answers_total", route="posts") == 2
    assert value(served, "madang_abstentions_total") == 1
    for stage in ("search", "extract", "draft", "check", "total"):
        assert value(served, "madang_answer_stage_seconds_count", stage=stage) == 2
    assert value(served, "madang_tokens_total", kind="prompt") > 10
    assert value(served, "madang_tokens_total", kind="completion") > 10


def test_what_holds_now_is_told(served: Served) -> None:
    assert value(served, "madang_queue", state="working") == 0
    assert value(served, "madang_queue", state="waiting") == 0
    assert value(served, "madang_stopped") == 0
    assert value(served, "process_resident_memory_bytes") > 10e6
    served.home.stop()
    assert value(served, "madang_stopped") == 1
    served.home.start()
