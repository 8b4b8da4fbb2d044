"""A model written in every format that others read; nothing is trusted until it is proven."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Literal, cast, get_args

from madang.model.gguf_files import save_gguf
from madang.model.hugging_face import save_hugging_face
from madang.model.lora import has_lora, save_adapter
from madang.model.transformer import Transformer
from madang.text.gguf_tokenizer import gguf_tokenizer_fields
from madang.text.tokenizer import Tokenizer

Format = Literal["safetensors", "gguf-f32", "gguf-f16", "gguf-q8_0", "adapter"]
GgufKind = Literal["f32", "f16", "q8_0"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)
"""All that a release can hold; the adapter only where the run trained one."""
ADAPTER: Final = "adapter"


def gguf_kind(format: Format) -> GgufKind | None:
    """Return how a GGUF format stores its weights; none for other formats."""
    return cast(GgufKind, format.removeprefix("gguf-")) if format.startswith("gguf-") else None


def gguf_name(kind: GgufKind) -> str:
    """Return the name of the file in a release."""
    return f"model-{kind}.gguf"


def formats_of(model: Transformer, wanted: Sequence[Format]) -> tuple[Format, ...]:
    """Return the wanted formats that this model can have, in their usual order.

    Raises ValueError where one is unknown, or none is left.
    """
    for format in wanted:
        if format not in FORMATS:
            raise ValueError(f"there is no format {format!r}; there are {', '.join(FORMATS)}")
    chosen = [f for f in FORMATS if f in wanted and (f != "adapter" or has_lora(model))]
    if not chosen:
        raise ValueError("a release needs a format: the run trained no adapter to write")
    return tuple(chosen)


def export(
    model: Transformer,
    tokenizer: Tokenizer,
    folder: Path,
    formats: Sequence[Format],
    *,
    name: str,
    base: str,
) -> Iterator[Format]:
    """Write each format into the folder and yield its name once it is there.

    Adapters are written merged into the weights, and by themselves as `adapter/` in PEFT's
    format, whose configuration names the `base`. The tokenizer's files come with safetensors.
    """
    for format in formats:
        kind = gguf_kind(format)
        if kind is not None:
            fields = gguf_tokenizer_fields(tokenizer, model.config.vocabulary)
            path = folder / gguf_name(kind)
            save_gguf(model, path, kind=kind, tokenizer_fields=fields, name=name)
        elif format == "adapter":
            save_adapter(model, folder / ADAPTER, base)
        else:
            tokenizer.save(folder)
            special = {
                "bos_token_id": tokenizer.end_of_text,
                "eos_token_id": _ends(tokenizer),
                "pad_token_id": tokenizer.pad,
            }
            save_hugging_face(model, folder, special)
            (folder / "generation_config.json").write_text(
                json.dumps(special, indent=2) + "\n", encoding="utf-8"
            )
        yield format


def _ends(tokenizer: Tokenizer) -> list[int]:
    """Return the tokens that end what a model writes: of a turn, of a document."""
    turn = [] if tokenizer.end_of_turn is None else [tokenizer.end_of_turn]
    return [*turn, tokenizer.end_of_text]
