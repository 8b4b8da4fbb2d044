"""The model that a training starts from, by what people call it, with its tokenizer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from madang.engines.smollm2 import smollm2_path
from madang.home.folder import Folder
from madang.home.named_models import SMOLLM2
from madang.home.releases import published_model
from madang.home.train_options import SCRATCH

if TYPE_CHECKING:
    from madang.model.transformer import Transformer
    from madang.text.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class Base:
    """A model on disk and its tokenizer."""

    path: Path
    tokenizer: Tokenizer

    def load(self) -> Transformer:
        """Return the model in float32. Raises ValueError where it cannot be read."""
        from madang.training.building import load_base

        return load_base(self.path)


def find_base(name: str, folder: Folder) -> Base | None:
    """Return the model of that name; none for `scratch`.

    Raises ValueError where there is none, EngineError where the default one is damaged.
    """
    if name == SCRATCH:
        return None
    if name == SMOLLM2:
        return open_base(smollm2_path(folder.cache))
    release = published_model(folder.releases, name)
    if release is not None:
        return open_base(folder.releases / name)
    path = Path(name).expanduser()
    if not path.exists():
        raise ValueError(
            f"there is no model {name!r}: give scratch, {SMOLLM2}, the name of a release "
            "(`madang releases`), a .gguf file, or a folder in Hugging Face's layout"
        )
    return open_base(path)


def open_base(path: Path) -> Base:
    """Open a GGUF file or a folder as a base. Raises ValueError where it is neither."""
    from madang.text.gguf_tokenizer import tokenizer_from_gguf
    from madang.text.tokenizer import Tokenizer

    if path.is_file():
        return Base(path, tokenizer_from_gguf(path))
    if not (path / "model.safetensors").is_file():
        gguf = path / "model-f32.gguf"
        if gguf.is_file():
            return Base(gguf, tokenizer_from_gguf(gguf))
        hint = "publish it first: `madang release`" if (path / "plan.json").exists() else ""
        raise ValueError(
            f"{path} holds no model.safetensors{'; it is a run, ' + hint if hint else ''}"
        )
    return Base(path, Tokenizer.load(path))


def shape_of(model: Transformer) -> dict[str, Any]:
    """Return the model's shape as fields of a plan."""
    from madang.training.plan import SHAPE

    return {name: getattr(model.config, name) for name in SHAPE}
