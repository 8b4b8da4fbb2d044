"""Several models by name: who speaks, who is loaded, and that a switch loses nothing."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from madang.engines import EngineError, Feature, Message, Piece, Sampling
from madang.engines.smollm2 import smollm2_path
from madang.home import Home, ingest_sample
from madang.home.model import MOST_LOADED, Models


class Counted:
    """An engine that knows whether it was closed while somebody used it."""

    remote = False
    context_length = 4096
    alive: set[Counted]

    def __init__(self, name: str, alive: set[Counted]) -> None:
        self.name = name
        self.alive = alive
        self.running = 0
        self.closed = False
        alive.add(self)

    def supports(self, feature: Feature) -> bool:
        return False

    def generate(self, messages: Sequence[Message], sampling: Sampling) -> Iterator[Piece]:
        self.running += 1
        try:
            for _ in range(20):
                time.sleep(0.005)
                assert not self.closed, f"{self.name} was closed under an answer"
                yield Piece(self.name)
        finally:
            self.running -= 1

    def tokenize(self, text: str) -> list[int]:
        return [0]

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        return [[0.0]]

    def cancel(self) -> None:
        pass

    def close(self) -> None:
        assert not self.running
        self.closed = True
        self.alive.discard(self)


@pytest.fixture
def alive() -> set[Counted]:
    return set()


@pytest.fixture
def models(alive: set[Counted]) -> Iterator[Models]:
    def open_named(name: str) -> Counted:
        if name == "broken":
            raise EngineError("broken cannot be loaded")
        time.sleep(0.02)
        return Counted(name, alive)

    made = Models("a", open_named)
    yield made
    made.close()
    assert alive == set()


def test_the_one_that_speaks_is_loaded_once_for_all_who_ask(
    models: Models, alive: set[Counted]
) -> None:
    threads = [threading.Thread(target=models.wait) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.name for one in alive] == ["a"] and models.ready is not None


def test_no_more_than_two_are_ever_loaded(models: Models, alive: set[Counted]) -> None:
    models.wait()
    most = 0
    for name in "bcdbcd":
        lease = models.lease(name)
        assert lease.engine is not None and lease.engine.name == name
        most = max(most, len(alive))
        lease.release()
    assert most == MOST_LOADED
    assert "a" in models.loaded, "the one that speaks stays"


def test_a_third_waits_until_one_has_answered(models: Models, alive: set[Counted]) -> None:
    models.wait()
    held = models.lease("b")
    threading.Timer(0.3, held.release).start()
    started = time.monotonic()
    lease = models.lease("c")
    assert time.monotonic() - started > 0.2
    assert lease.engine is not None and lease.engine.name == "c"
    lease.release()


def test_switching_under_load_loses_no_request(models: Models, alive: set[Counted]) -> None:
    models.wait()
    ended = threading.Event()
    answers: list[list[str]] = []
    failures: list[BaseException] = []

    def ask() -> None:
        while not ended.is_set():
            lease = models.lease()
            try:
                assert lease.engine is not None
                pieces = lease.engine.generate([], Sampling())
                answers.append([piece.text for piece in pieces])
            except BaseException as error:
                failures.append(error)
                return
            finally:
                lease.release()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for name in "bacba":
        time.sleep(0.15)
        assert models.switch(name) is None
        assert models.speaks == name and len(alive) <= MOST_LOADED
    ended.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert all(len(set(answer)) == 1 and len(answer) == 20 for answer in answers)
    assert {answer[0] for answer in answers} == {"a", "b", "c"}
    assert models.loaded == ("a",), "those that were replaced are gone"


def test_one_that_cannot_run_never_takes_over(models: Models) -> None:
    models.wait()
    assert models.switch("broken") == "broken cannot be loaded"
    assert models.speaks == "a" and models.ready is not None
    assert models.lease("broken").engine is None
    assert models.lease().engine is not None


def test_closing_while_one_is_being_loaded_leaves_none(alive: set[Counted]) -> None:
    def slowly(name: str) -> Counted:
        time.sleep(0.3)
        return Counted(name, alive)

    models = Models("a", slowly)
    models.load_in_background()
    assert models.loading and models.lease().engine is None
    time.sleep(0.05)
    models.close()
    time.sleep(0.6)
    assert alive == set()
    assert models.lease("b").engine is None


# -- names in a home, with the real engine --------------------------------------------------


def publish(home: Home, name: str) -> None:
    """Put the model that comes along into the home as a release of that name."""
    folder = home.folder.releases / name
    folder.mkdir(parents=True)
    try:
        weights = smollm2_path(home.folder.cache)
    except EngineError as error:
        pytest.skip(str(error))
    (folder / "model-q8_0.gguf").symlink_to(weights)
    card = {"name": name, "created_at": "2026-11-20T10:00:00+00:00", "parameters": 134_515_008}
    (folder / "release.json").write_text(json.dumps(card))


def test_a_release_speaks_by_its_name_and_goes_on_after_a_restart(tmp_path: Path) -> None:
    with Home(tmp_path) as home:
        ingest_sample(home)
        assert home.names.all() == ["smollm2"]
        publish(home, "town-1")
        assert home.names.all() == ["smollm2", "town-1"]
        assert home.ask("hello there", model="town-1").engine == "town-1"
        assert home.model.speaks == "smollm2"
        home.switch("town-1")
        assert home.ask("hello there").engine == "town-1"
        with pytest.raises(ValueError, match="no model 'town-2'"):
            home.switch("town-2")
        with pytest.raises(ValueError, match=r"no model '\.\./x'"):
            home.ask("hello", model="../x")
    with Home(tmp_path) as home:
        assert home.model.speaks == "town-1" and home.names.all() == ["smollm2", "town-1"]
    with Home(tmp_path, model="smollm2") as home:
        assert home.model.speaks == "smollm2"
    with Home(tmp_path, model="town-1") as home:
        assert home.model.speaks == "town-1" and home.names.own == "smollm2"
    (tmp_path / "releases" / "town-1" / "model-q8_0.gguf").unlink()
    with Home(tmp_path) as home:
        assert home.model.speaks == "smollm2", "a release that is gone does not speak"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a", "a\0b", "x" * 200, "-", "a b"])
def test_what_is_no_name_leads_nowhere(tmp_path: Path, name: str) -> None:
    with Home(tmp_path) as home:
        assert not home.names.knows(name)
