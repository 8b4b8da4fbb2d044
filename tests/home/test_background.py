"""The model that learns in the background: it takes over, goes on, obeys, and never half-way."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from learning_community import TINY, opened

from madang.home import Home
from madang.home import background as background_module
from madang.home.background import BackgroundLearner
from madang.home.learner_process import lowest_priority
from madang.home.train_options import TrainOptions

pytest.importorskip("torch", reason="training needs the extra `train`")

PATIENCE_S = 120.0


def soon(holds: Callable[[], bool], seconds: float = PATIENCE_S) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def learner(home: Home, *, steps: int = 6, **more: Any) -> BackgroundLearner:
    overrides = {**TINY, "checkpoint_every": 5}
    options = {
        "base": "scratch",
        "steps": steps,
        "seed": 3,
        "threads": 1,
        "workers": 1,
        "formats": ("gguf-q8_0",),
        "overrides": overrides,
        **more,
    }
    made = BackgroundLearner(
        home.folder,
        home.log,
        1.0,
        take_over=home.switch,
        options=options,
        look_seconds=0.1,
        polite=False,
    )
    home.learn_with(made)
    return made


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with opened(tmp_path / "home") as home:
        yield home


def test_what_was_learned_takes_over_and_stays_chosen(tmp_path: Path) -> None:
    with opened(tmp_path) as home:
        own = home.names.own
        assert home.learning_status.state == "off"
        made = learner(home)
        stages: list[str | None] = []

        def learned() -> bool:
            stages.append(made.status.stage)
            return made.status.state in ("learned", "failed")

        assert soon(learned)
        status = made.status
        assert status.state == "learned", status.detail
        assert {"curate", "train", "publish"} <= set(stages)
        assert status.release is not None and home.model.speaks == status.release
        assert status.bits_per_byte is not None and status.bits_per_byte["future"]["after"]
        answer = home.ask("hello there")
        assert answer.engine == status.release
        assert home.names.all() == [own, status.release]
        again = made.status
        time.sleep(0.5)
        assert made.status == again, "it learns once"
    with Home(tmp_path) as home:
        assert home.model.speaks == status.release
        made = learner(home)
        assert soon(lambda: made.status.state == "learned", 20)
        time.sleep(0.5)
        assert len(home.learning.runs()) == 1, "the same posts are not learned again"


def test_killed_from_outside_it_fails_and_the_next_start_begins_anew(home: Home) -> None:
    speaks = home.model.speaks
    made = learner(home, steps=100_000)
    assert soon(lambda: made.status.stage == "train")
    process = made._process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    assert soon(lambda: made.status.state == "failed", 10)
    assert home.model.speaks == speaks and not any(home.folder.releases.glob("*"))
    made.close()
    home._learner = None
    made = learner(home)
    assert soon(lambda: made.status.state == "learned"), "it is tried again at the next start"


def checkpointed(home: Home) -> bool:
    return any(home.folder.runs.glob("*/checkpoints/step-*/state.json"))


def test_the_end_of_the_server_ends_it_and_the_next_start_goes_on(tmp_path: Path) -> None:
    with opened(tmp_path) as home:
        made = learner(home, steps=100_000)
        assert soon(lambda: checkpointed(home))
        process = made._process
        assert process is not None
        began = time.monotonic()
    assert time.monotonic() - began < 3 and process.poll() is not None
    (run,) = home.learning.runs()
    assert run.status == "stopped"
    with Home(tmp_path, model="/none.gguf") as home:
        made = learner(home, steps=100_000)
        assert soon(lambda: made.status.stage == "train")
        assert made.status.run == run.name, "it goes on with the same run"
        assert len(home.learning.runs()) == 1


def test_the_emergency_brake_ends_it_within_a_second(home: Home) -> None:
    made = learner(home, steps=100_000)
    assert soon(lambda: checkpointed(home))
    process = made._process
    assert process is not None
    home.brake.pull()
    assert soon(lambda: process.poll() is not None, 1.0)
    assert soon(lambda: made.status.state == "stopped", 2.0)
    (run,) = home.learning.runs()
    home.brake.release()
    assert soon(lambda: made.status.stage == "train")
    assert made.status.run == run.name


def test_an_erasure_ends_the_run_that_reads_the_post_and_begins_it_anew(home: Home) -> None:
    home.follow_in_background()
    made = learner(home, steps=100_000)
    assert soon(lambda: checkpointed(home))
    (first,) = home.learning.runs()
    text = home.log.find(["town:6"])["town:6"].post.text.encode()
    erased = time.monotonic()
    home.forget("town:6")
    assert soon(lambda: not first.folder.exists(), 30)
    assert soon(lambda: text not in _bytes(home.folder.root), 60 - (time.monotonic() - erased))
    assert soon(lambda: [run.name for run in home.learning.runs()] not in ([], [first.name]))
    assert soon(lambda: made.status.stage == "train")
    assert text not in _bytes(home.folder.root)


def _bytes(folder: Path) -> bytes:
    # Meanwhile folders may vanish, which a walk passes over.
    found = []
    for root, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                found.append((Path(root) / name).read_bytes())
    return b"".join(found)


def test_without_consent_it_says_so_and_waits(tmp_path: Path) -> None:
    with Home(tmp_path, model="/none.gguf") as home:
        made = learner(home)
        assert soon(lambda: made.status.state == "nothing")
        assert made.status.detail


def test_without_the_packages_it_waits_for_them(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing: tuple[str, ...] = ("torch",)
    monkeypatch.setattr(background_module, "missing_packages", lambda: missing)
    made = learner(home, steps=100_000)
    assert soon(lambda: made.status.state == "absent", 5)
    missing = ()
    assert soon(lambda: made.status.state == "learning", 20)


def test_one_that_reads_the_newest_posts_no_better_does_not_take_over(home: Home) -> None:
    speaks = home.model.speaks
    still = dict.fromkeys(("matrix_rate", "embedding_rate", "vector_rate"), 1e-12)
    # An output layer of its own would begin as zeros, and no export of those can be compared.
    made = learner(home, steps=1, overrides={**TINY, **still, "tied": True})
    assert soon(lambda: made.status.state in ("failed", "learned"))
    assert made.status.state == "failed", made.status
    assert "no better" in str(made.status.detail)
    assert home.model.speaks == speaks


def test_the_lowest_priority_is_taken() -> None:
    child = os.fork()
    if child == 0:
        lowest_priority()
        os._exit(os.getpriority(os.PRIO_PROCESS, 0))
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 19


def test_its_usual_options_are_options() -> None:
    options = TrainOptions(minutes=3, **background_module.USUAL)
    assert options.base == "smollm2"
