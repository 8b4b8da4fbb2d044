"""Runs that the tests of this room publish, trained once."""

from __future__ import annotations

from pathlib import Path

import pytest

for _needed in ("torch", "transformers", "gguf"):
    pytest.importorskip(_needed, reason="needs the extra `train`")

import torch  # noqa: E402
from small_runs import save_base, small_run, small_tokenizer  # noqa: E402

from madang.release import Release, publish  # noqa: E402
from madang.text.tokenizer import Tokenizer  # noqa: E402

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return small_tokenizer()


@pytest.fixture(scope="session")
def scratch_run(tmp_path_factory: pytest.TempPathFactory, tokenizer: Tokenizer) -> Path:
    """Qwen3's layout, all weights trained from scratch."""
    return small_run(tmp_path_factory.mktemp("runs") / "scratch", tokenizer)


@pytest.fixture(scope="session")
def lora_run(tmp_path_factory: pytest.TempPathFactory, tokenizer: Tokenizer) -> Path:
    """Llama's layout with its own output layer, adapters trained on a base."""
    folder = tmp_path_factory.mktemp("runs")
    layout = {"qk_norm": False, "tied": False}
    base = save_base(folder / "base", tokenizer, **layout)
    return small_run(
        folder / "lora", tokenizer, method="lora", base=str(base), matrix_rate=0.005, **layout
    )


@pytest.fixture(scope="session")
def scratch(scratch_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Release:
    return publish(scratch_run, tmp_path_factory.mktemp("releases"))


@pytest.fixture(scope="session")
def lora(lora_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Release:
    return publish(lora_run, tmp_path_factory.mktemp("releases"), name="마당-1.0")
