"""What programs learn of the model that learns, and of who speaks; a switch loses no request."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any, get_args

import pytest
from serving import Served, asking, error_of, opened_copy, serving

from madang.engines import EngineError
from madang.engines.smollm2 import smollm2_path
from madang.home.background import LearningStatus, State
from madang.server.schemas import LearningNow, ModelList, PageInfo, RunDetail, RunList


def write_run(folder: Path, **state: Any) -> None:
    folder.mkdir(parents=True)
    (folder / "plan.json").write_text(json.dumps({"method": "full", "objective": "pretrain"}))
    (folder / "state.json").write_text(json.dumps({"state": "finished", "pid": 1, **state}))
    lines = [
        {"step": step, "seconds": float(step), "tokens": step, "loss": 2.0, "bits_per_byte": 1.0}
        for step in range(1, 1001)
    ]
    lines.append({"step": 1000, "seconds": 1000.0, "evaluation": {"future": 1.5, "general": None}})
    lines.append({"step": 1000, "seconds": 1000.0, "sample": "the ferry"})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))


def test_without_a_learner_it_is_off(reading: Served) -> None:
    now = reading.client.get("/v1/learning").json()
    LearningNow.model_validate(now)
    assert now["state"] == "off" and now["curve"]["points"] == []
    assert now["speaks"] == reading.home.model.speaks
    runs = reading.client.get("/v1/runs").json()
    RunList.model_validate(runs)
    assert runs["data"] == []


def test_every_state_is_in_the_schema_and_the_document() -> None:
    document = (Path(__file__).parents[2] / "docs" / "api.md").read_text("utf-8")
    (told,) = [get_args(LearningNow.model_fields["state"].annotation)]
    assert set(told) == set(get_args(State))
    assert {one for one in told if f"`{one}`" not in document} == set()


def test_runs_are_listed_newest_first_with_thinned_curves(served: Served) -> None:
    runs = served.home.folder.runs
    write_run(runs / "old", started="2026-11-20T10:00:00+00:00", release="town-1")
    write_run(runs / "new", started="2026-11-21T10:00:00+00:00", state="running", pid=1 << 22)
    (runs / "half").mkdir()
    listed = served.client.get("/v1/runs").json()
    RunList.model_validate(listed)
    assert [(one["run"], one["state"]) for one in listed["data"]] == [
        ("new", "stopped"),
        ("old", "finished"),
    ]
    one = served.client.get("/v1/runs/old").json()
    RunDetail.model_validate(one)
    assert one["release"] == "town-1" and one["base"] == "scratch"
    points = one["curve"]["points"]
    assert len(points) == 160 and points[-1]["step"] == 1000
    assert one["curve"]["evaluations"] == [
        {"step": 1000, "seconds": 1000.0, "future": 1.5, "general": None}
    ]
    assert one["curve"]["sample"] == "the ferry"
    for name in ("nothing", "half", "..", "%2e%2e", "old%2f..", "x" * 128):
        response = served.client.get(f"/v1/runs/{name}")
        assert response.status_code == 404
        error_of(response)


def test_gauges_say_what_the_learner_does(served: Served) -> None:
    assert 'madang_learning{state="off"} 1.0' in served.client.get("/metrics").text

    class Learner:
        status = LearningStatus("learning", 3.0, "train", seconds=12.5)

        def close(self) -> None:
            pass

    served.home._learner = Learner()  # type: ignore[assignment]
    told = served.client.get("/metrics").text
    assert 'madang_learning{state="learning"} 1.0' in told
    assert "madang_learning_seconds 12.5" in told


def release(home: Any, name: str) -> None:
    folder = home.folder.releases / name
    folder.mkdir(parents=True)
    try:
        (folder / "model-q8_0.gguf").symlink_to(smollm2_path(home.folder.cache))
    except EngineError as error:
        pytest.skip(str(error))
    card = {"name": name, "created_at": "2026-11-20T10:00:00+00:00"}
    (folder / "release.json").write_text(json.dumps(card))


def test_a_model_answers_by_its_name(with_model: Served) -> None:
    release(with_model.home, "town-1")
    listed = with_model.client.get("/v1/models").json()
    ModelList.model_validate(listed)
    told = {one["id"]: one["speaks"] for one in listed["data"]}
    assert told == {"madang": True, "smollm2": True, "town-1": False}
    completion = with_model.client.post(
        "/v1/chat/completions", json={**asking("hello there"), "model": "town-1"}
    ).json()
    assert completion["model"] == "town-1"
    assert completion["madang"]["answer"]["engine"] == "town-1"
    unknown = with_model.client.post(
        "/v1/chat/completions", json={**asking("hello"), "model": "../town-1"}
    )
    assert unknown.status_code == 404 and error_of(unknown)["code"] == "model_not_found"
    info = with_model.client.get("/page/info").json()
    PageInfo.model_validate(info)
    assert (info["speaks"], info["models"]) == ("smollm2", ["smollm2", "town-1"])


@pytest.mark.slow
def test_switching_over_http_loses_no_request(sample_folder: Path, tmp_path: Path) -> None:
    with opened_copy(sample_folder, tmp_path / "home", None) as home:
        release(home, "town-1")
        if home.model.wait() is None:
            pytest.skip(f"the embedded model cannot run here: {home.model.problem}")
        with serving(home) as served:
            spoke: list[str] = []
            failed: list[int] = []
            ended = threading.Event()

            def ask() -> None:
                while not ended.is_set():
                    response = served.ask("hello there", max_tokens=24)
                    if response.status_code == 200:
                        spoke.append(response.json()["madang"]["answer"]["engine"])
                    else:
                        failed.append(response.status_code)

            threads = [threading.Thread(target=ask) for _ in range(3)]
            for thread in threads:
                thread.start()
            for name in ("town-1", "smollm2", "town-1"):
                before = len(spoke)
                home.switch(name)
                while len(spoke) < before + 4:
                    ended.wait(0.05)
                    assert not failed
            ended.set()
            for thread in threads:
                thread.join()
            assert failed == [] and len(set(spoke)) == 2
            assert spoke[-1] == "town-1" and home.model.loaded == ("town-1",)
