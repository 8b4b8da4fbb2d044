from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from raw_server import RawServer

from madang.engines import EmbeddedEngine, EngineError, open_engine
from madang.engines.smollm2 import smollm2_path


@pytest.fixture(scope="session")
def weights() -> Path:
    try:
        return smollm2_path()
    except EngineError as error:
        pytest.skip(f"the default model is not here: {error}")


@pytest.fixture(scope="session")
def embedded(weights: Path) -> Iterator[EmbeddedEngine]:
    """The default model, loaded once for all tests that only talk to it."""
    engine = open_engine()
    assert isinstance(engine, EmbeddedEngine)
    yield engine
    engine.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., RawServer]]:
    """Start servers that answer each path with raw bytes of the test's choice."""
    with ExitStack() as stack:
        yield lambda **routes: stack.enter_context(RawServer(**routes))
