"""Whoever asks while the model learns has a quoted sentence as soon as without it."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import pytest
from serving import ANSWERABLE, Served, asking, opened_copy, serving, soon

from madang.home.background import BackgroundLearner

FIRST_SENTENCE_S = 0.4
ASKED = 40


def first_sentence_s(served: Served, question: str) -> float:
    """How long it takes from asking until something quoted has arrived."""
    began = time.perf_counter()
    body = asking(question, stream=True)
    with served.client.stream("POST", "/v1/chat/completions", json=body) as response:
        for line in response.iter_lines():
            if '"event":"extract"' in line or '"event":"sentence"' in line:
                return time.perf_counter() - began
    raise AssertionError("nothing was quoted")


@pytest.mark.slow
def test_the_first_quoted_sentence_comes_within_400_ms_while_it_learns(
    sample_folder: Path, tmp_path: Path
) -> None:
    pytest.importorskip("torch", reason="training needs the extra `train`")
    with opened_copy(sample_folder, tmp_path / "home", None) as home, serving(home) as served:
        home.model.wait()
        # All cores, and a model that keeps them busy for as long as this takes.
        options = {
            "steps": 100_000,
            "publish": False,
            "overrides": {"width": 256, "layers": 6, "vocabulary": 1024, "compile": False},
        }
        learner = BackgroundLearner(
            home.folder, home.log, 5.0, take_over=home.switch, options=options, look_seconds=0.1
        )
        home.learn_with(learner)
        assert soon(lambda: learner.status.stage == "train", 300), learner.status
        questions = [question for question, _ in ANSWERABLE.values()]
        taken = sorted(
            first_sentence_s(served, questions[number % len(questions)]) for number in range(ASKED)
        )
        assert learner.status.state == "learning", learner.status
        assert httpx.get(f"{served.url}/v1/learning").json()["state"] == "learning"
        assert taken[int(ASKED * 0.95) - 1] < FIRST_SENTENCE_S, taken
