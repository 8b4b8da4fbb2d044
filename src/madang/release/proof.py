"""The proof that an export is the model: other programs read it and must say what we say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from madang.engines.gguf import read_gguf_metadata
from madang.model.lora import load_adapter
from madang.model.transformer import Transformer
from madang.release import checks
from madang.release.checks import Check
from madang.release.export import ADAPTER, Format, GgufKind, gguf_kind, gguf_name
from madang.release.llama_cpp import LlamaCppError, read_with_llama_cpp
from madang.release.prompts import CONVERSATIONS, Reference, log_probabilities
from madang.text.chat_template import encode_chat, render
from madang.text.gguf_tokenizer import gguf_tokenizer_fields
from madang.text.hard_texts import hard_texts
from madang.text.tokenizer import Tokenizer

# Lines of a text of tokens: few enough that one which differs tells where to look.
_LINES: Final = 2000
_KL: Final[dict[GgufKind, float]] = {"f16": checks.F16_KL, "q8_0": checks.Q8_0_KL}


@dataclass(frozen=True, slots=True)
class Expected:
    """What every program must make of an export.

    `letter` is the id of a letter; `tokens` are the ids of `texts`. `rendered` are the
    conversations up to where the assistant answers, `whole` with its answer, and `chats` the ids
    of that.
    """

    reference: Reference
    tokenizer: Tokenizer
    vocabulary: int
    letter: int
    special: tuple[str, ...]
    texts: list[str]
    tokens: list[list[int]]
    rendered: list[str]
    whole: list[str]
    chats: list[list[int]]


def expected(tokenizer: Tokenizer, reference: Reference) -> Expected:
    """Ask our own tokenizer, template and model what every program must say."""
    texts = [*hard_texts(), *_all_tokens(tokenizer)]
    return Expected(
        reference=reference,
        tokenizer=tokenizer,
        vocabulary=reference.log_probabilities.shape[1],
        letter=tokenizer.encode("a")[0],
        special=tuple(tokenizer.special),
        texts=texts,
        tokens=tokenizer.encode_batch(texts),
        rendered=[render(each[:-1], add_generation_prompt=True) for each in CONVERSATIONS],
        whole=[render(each) for each in CONVERSATIONS],
        chats=[encode_chat(tokenizer, each).ids for each in CONVERSATIONS],
    )


def prove(
    format: Format,
    folder: Path,
    wanted: Expected,
    *,
    base: Callable[[], Transformer],
    threads: int,
) -> Iterator[Check]:
    """Yield the checks of one format of an export, each as soon as it is known.

    `base` gives the model that an adapter is put on.
    """
    kind = gguf_kind(format)
    if kind is not None:
        yield from _prove_gguf(kind, folder, wanted, threads)
    elif format == "adapter":
        yield from _prove_adapter(folder, wanted, base)
    else:
        yield from _prove_safetensors(folder, wanted)


def _prove_safetensors(folder: Path, wanted: Expected) -> Iterator[Check]:
    from madang.release.with_transformers import Loaded

    try:
        loaded = Loaded(folder)
    except ValueError as error:
        yield checks.not_loaded("safetensors/loads", str(error))
        return
    yield checks.loaded("safetensors/loads")
    # What holds no name of a special token must be spelt the same by a plain call, too.
    plain = [
        (text, ids)
        for text, ids in zip(wanted.texts, wanted.tokens, strict=True)
        if not any(name in text for name in wanted.special)
    ]
    yield checks.all_equal(
        "safetensors/token_ids",
        [*wanted.tokens, *(ids for _, ids in plain)],
        [
            *(loaded.tokens(text) for text in wanted.texts),
            *(loaded.tokens(text, plain=False) for text, _ in plain),
        ],
        [*wanted.texts, *(text for text, _ in plain)],
    )
    yield checks.all_equal(
        "safetensors/chat_template",
        [*wanted.rendered, *wanted.whole, *wanted.chats],
        [
            *(loaded.rendered(each[:-1], answer=True) for each in CONVERSATIONS),
            *(loaded.rendered(each, answer=False) for each in CONVERSATIONS),
            *(loaded.chat_tokens(each) for each in CONVERSATIONS),
        ],
    )
    yield _same_tokenizer("safetensors/tokenizer", wanted.tokenizer, folder)
    reference = wanted.reference
    yield checks.difference(
        "safetensors/log_probabilities",
        reference.log_probabilities,
        loaded.log_probabilities(reference.prompts),
        checks.SAFETENSORS_DIFFERENCE,
    )


def _prove_gguf(kind: GgufKind, folder: Path, wanted: Expected, threads: int) -> Iterator[Check]:
    name, reference = f"gguf-{kind}", wanted.reference
    # Only the coarsest format is asked for its best token, at many places.
    prompts = [p if kind == "q8_0" else replace(p, best=()) for p in reference.prompts]
    path = folder / gguf_name(kind)
    try:
        found = read_with_llama_cpp(
            path,
            texts=wanted.texts,
            parsed=wanted.whole,
            conversations=[each[:-1] for each in CONVERSATIONS],
            prompts=prompts,
            vocabulary=wanted.vocabulary,
            letter=wanted.letter,
            threads=threads,
        )
    except LlamaCppError as error:
        yield checks.not_loaded(f"{name}/loads", str(error))
        return
    yield checks.loaded(f"{name}/loads")
    yield checks.all_equal(f"{name}/token_ids", wanted.tokens, found.tokens, wanted.texts)
    yield checks.all_equal(
        f"{name}/chat_template",
        [*wanted.rendered, *wanted.chats],
        [*found.rendered, *found.parsed],
    )
    stated = read_gguf_metadata(path)
    fields = gguf_tokenizer_fields(wanted.tokenizer, wanted.vocabulary)
    yield checks.all_equal(
        f"{name}/tokenizer",
        list(fields.values()),
        [stated.get(key) for key in fields],
        list(fields),
    )
    ours = reference.log_probabilities[reference.whole]
    if kind == "f32":
        yield checks.difference(
            f"{name}/log_probabilities", ours, found.log_probabilities, checks.F32_DIFFERENCE
        )
    else:
        yield checks.mean_kl(f"{name}/mean_kl", ours, found.log_probabilities, _KL[kind])
    if kind == "q8_0":
        yield checks.top_1(
            f"{name}/top_1", reference.log_probabilities, found.best, checks.Q8_0_TOP_1
        )


def _prove_adapter(
    folder: Path, wanted: Expected, base: Callable[[], Transformer]
) -> Iterator[Check]:
    try:
        model = base().double().eval()
        load_adapter(model, folder / ADAPTER)
    except (ValueError, OSError) as error:
        yield checks.not_loaded("adapter/loads", str(error))
        return
    yield checks.loaded("adapter/loads")
    reference = wanted.reference
    yield checks.difference(
        "adapter/log_probabilities",
        reference.log_probabilities,
        log_probabilities(model, reference.prompts),
        checks.SAFETENSORS_DIFFERENCE,
    )


def _same_tokenizer(name: str, ours: Tokenizer, folder: Path) -> Check:
    """Return the check that a file states what our tokenizer is made of.

    Two merges in another order may show in none of the texts, and in a text of tomorrow.
    """
    try:
        theirs = Tokenizer.load(folder)
    except ValueError as error:
        return checks.not_loaded(name, str(error))
    return checks.all_equal(name, [ours.digest], [theirs.digest], ["tokenizer.json"])


def _all_tokens(tokenizer: Tokenizer) -> Iterator[str]:
    """Yield texts in which each token that is a text stands on a line: none is out of reach."""
    lines: list[str] = []
    for number in range(tokenizer.vocabulary_size):
        text = tokenizer.decode([number])
        if number not in tokenizer.added and "\ufffd" not in text:
            lines.append(text)
        if len(lines) == _LINES:
            yield "\n".join(lines)
            lines.clear()
    yield "\n".join(lines)
