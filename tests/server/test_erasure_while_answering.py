"""A post that is erased while an answer rests on it is in nothing that leaves after that."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest
from serving import ANSWERABLE, Served, events, opened_copy, serving
from slow_model import SlowModel


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("lang", ["en", "ko"])
def test_what_is_erased_meanwhile_is_answered_without(
    sample_folder: Path, tmp_path: Path, lang: str, stream: bool
) -> None:
    question, expected = ANSWERABLE[lang]
    with (
        SlowModel() as model,
        opened_copy(sample_folder, tmp_path / "home", model.url) as home,
        serving(home) as served,
        ThreadPoolExecutor(1) as person,
    ):
        home.model.wait()
        texts = [served.post(id).json()["text"] for id in expected]
        asked = person.submit(served.ask, question, stream=stream)
        assert model.began.wait(20), "the model was not asked"
        for id in expected:
            path = f"/v1/posts/{quote(id, safe='')}"
            assert served.client.delete(path, headers=served.admin).status_code == 200
        model.finish()
        response = asked.result(30)
    assert response.status_code == 200
    if not stream:
        whole = response.text
        answer = response.json()["madang"]["answer"]
    else:
        came = events(response.text)
        assert came[-1] == "[DONE]"
        names = [one["madang"]["event"] for one in came[:-1]]
        assert names.count("sources") == 2 and names.count("finished") == 1
        # Sources and the extract had left before the posts were erased.
        after = came[len(names) - names[::-1].index("sources") - 1 :]
        whole = json.dumps(after, ensure_ascii=False)
        answer = came[-2]["madang"]["answer"]
    assert not set(answer["evidence"]) & expected
    for id, text in zip(expected, texts, strict=True):
        assert id not in whole
        assert text[:30] not in whole


def test_while_nothing_is_erased_these_questions_rest_on_those_posts(reading: Served) -> None:
    for question, expected in ANSWERABLE.values():
        answer = reading.ask(question).json()["madang"]["answer"]
        assert set(answer["evidence"]) & expected
