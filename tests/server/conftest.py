from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from serving import NO_MODEL, Served, opened_copy, serving

from madang.home import Home, ingest_sample


@pytest.fixture(scope="session")
def sample_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that holds the sample community; tests work on copies of it."""
    folder = tmp_path_factory.mktemp("sample") / "home"
    with Home(folder, model=NO_MODEL) as home:
        ingest_sample(home)
    return folder


@pytest.fixture
def home(sample_folder: Path, tmp_path: Path) -> Iterator[Home]:
    """The sample community without a model: answers are quotes."""
    with opened_copy(sample_folder, tmp_path / "home", NO_MODEL) as opened:
        yield opened


@pytest.fixture
def served(home: Home) -> Iterator[Served]:
    """The sample community, served without a model, for tests that change it."""
    with serving(home) as running:
        yield running


@pytest.fixture(scope="module")
def reading(sample_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The sample community, served without a model, for tests that only read."""
    folder = tmp_path_factory.mktemp("reading") / "home"
    with opened_copy(sample_folder, folder, NO_MODEL) as opened, serving(opened) as running:
        yield running


@pytest.fixture(scope="module")
def with_model(sample_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The sample community, served with the embedded model, which is loaded by now."""
    folder = tmp_path_factory.mktemp("with-model") / "home"
    with (
        opened_copy(sample_folder, folder, None) as opened,
        serving(opened, workers=1, queue=2) as running,
    ):
        if opened.model.wait() is None:
            pytest.skip(f"the embedded model cannot run here: {opened.model.problem}")
        yield running
