"""The header of a GGUF file: what the model is, and whether the file is whole.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from madang.engines.engine import EngineError

# Elements and bytes of one block, by the number of the tensor type; ggml.c, `type_traits`.
_BLOCKS: Final = {
    0: (1, 4),
    1: (1, 2),
    2: (32, 18),
    3: (32, 20),
    6: (32, 22),
    7: (32, 24),
    8: (32, 34),
    9: (32, 36),
    10: (256, 84),
    11: (256, 110),
    12: (256, 144),
    13: (256, 176),
    14: (256, 210),
    15: (256, 292),
    24: (1, 1),
    25: (1, 2),
    26: (1, 4),
    27: (1, 8),
    28: (1, 8),
    30: (1, 2),
}
_SCALARS: Final = {
    0: struct.Struct("<B"),
    1: struct.Struct("<b"),
    2: struct.Struct("<H"),
    3: struct.Struct("<h"),
    4: struct.Struct("<I"),
    5: struct.Struct("<i"),
    6: struct.Struct("<f"),
    7: struct.Struct("<?"),
    10: struct.Struct("<Q"),
    11: struct.Struct("<q"),
    12: struct.Struct("<d"),
}
_STRING: Final = 8
_ARRAY: Final = 9
_MAX_DIMENSIONS: Final = 4
_MAX_ENTRIES: Final = 1 << 20
# Token types of a vocabulary; llama.h, `llama_token_type`.
_UNKNOWN_TOKEN: Final = 2
_CONTROL_TOKEN: Final = 3
_USER_DEFINED_TOKEN: Final = 4

Value = str | int | float | bool | list[str] | list[int] | list[float] | list[bool]


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What Madang needs to know of a model before it loads it.

    `context_length` is what the model was trained for, in tokens, or none where the file does
    not say. `control_tokens` are the strings that a prompt must not take out of a post.
    """

    architecture: str
    context_length: int | None
    control_tokens: frozenset[str]


def read_gguf_header(path: Path) -> GgufHeader:
    """Read and check the header of a model file.

    Raises EngineError where the file cannot be read, is not GGUF, or is shorter than the tensors
    that its header promises.
    """
    metadata = read_gguf_metadata(path)
    architecture = metadata.get("general.architecture")
    if not isinstance(architecture, str):
        raise EngineError(
            f"{path} is damaged or was not downloaded whole (the architecture is not stated); "
            "download it again"
        )
    context = metadata.get(f"{architecture}.context_length")
    return GgufHeader(
        architecture=architecture,
        context_length=context if isinstance(context, int) and context > 0 else None,
        control_tokens=_control_tokens(metadata),
    )


def read_gguf_metadata(path: Path) -> dict[str, Value]:
    """Return what the header of a model file states, by key; raises as `read_gguf_header` does."""
    try:
        with path.open("rb") as file:
            if file.read(4) != b"GGUF":
                raise EngineError(
                    f"{path} is not a GGUF model; give a .gguf file or the URL of a server"
                )
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _Header(data).read()
    except OSError as error:
        raise EngineError(f"{path} cannot be read: {error.strerror or error}") from None
    except (_DamagedError, struct.error, OverflowError) as error:
        raise EngineError(
            f"{path} is damaged or was not downloaded whole ({error}); download it again"
        ) from None


class _DamagedError(Exception):
    pass


class _Header:
    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._at = 4

    def read(self) -> dict[str, Value]:
        version = self._scalar(4)
        if version not in (2, 3):
            raise _DamagedError(f"version {version} of the format is not known")
        tensors = self._count(10)
        entries = self._count(10)
        metadata: dict[str, Value] = {}
        for _ in range(entries):
            key = self._text()
            metadata[key] = self._value(int(self._scalar(4)))
        self._check_tensors(tensors, metadata.get("general.alignment", 32))
        return metadata

    def _check_tensors(self, count: int, alignment: Value) -> None:
        if not isinstance(alignment, int) or alignment < 1:
            raise _DamagedError("the alignment of its tensors is not a number")
        end = 0
        for _ in range(count):
            self._text()
            dimensions = int(self._scalar(4))
            if dimensions > _MAX_DIMENSIONS:
                raise _DamagedError(f"a tensor has {dimensions} dimensions")
            elements = 1
            for _ in range(dimensions):
                elements *= int(self._scalar(10))
            per_block, block_bytes = _BLOCKS.get(int(self._scalar(4)), (1, 0))
            offset = int(self._scalar(10))
            end = max(end, offset + elements // per_block * block_bytes)
        start = -(-self._at // alignment) * alignment
        if start + end > len(self._data):
            raise _DamagedError(f"{len(self._data):,} of {start + end:,} bytes are there")

    def _scalar(self, kind: int) -> int | float | bool:
        form = _SCALARS[kind]
        (value,) = form.unpack_from(self._data, self._at)
        self._at += form.size
        number: int | float | bool = value
        return number

    def _count(self, kind: int) -> int:
        count = int(self._scalar(kind))
        if count > _MAX_ENTRIES:
            raise _DamagedError(f"it claims {count:,} entries")
        return count

    def _text(self) -> str:
        length = int(self._scalar(10))
        if length > len(self._data) - self._at:
            raise _DamagedError("a text in it goes past its end")
        text = self._data[self._at : self._at + length].decode("utf-8", "replace")
        self._at += length
        return text

    def _value(self, kind: int) -> Value:
        if kind == _STRING:
            return self._text()
        if kind != _ARRAY:
            if kind not in _SCALARS:
                raise _DamagedError(f"it has a value of the unknown type {kind}")
            return self._scalar(kind)
        of = int(self._scalar(4))
        count = self._count(10)
        if of == _STRING:
            return [self._text() for _ in range(count)]
        if of not in _SCALARS:
            raise _DamagedError(f"it has an array of the unknown type {of}")
        form = struct.Struct(f"<{count}{_SCALARS[of].format[1:]}")
        values = list(form.unpack_from(self._data, self._at))
        self._at += form.size
        return values


def _control_tokens(metadata: dict[str, Value]) -> frozenset[str]:
    tokens = metadata.get("tokenizer.ggml.tokens")
    kinds = metadata.get("tokenizer.ggml.token_type")
    if not isinstance(tokens, list) or not isinstance(kinds, list):
        return frozenset()
    found = set()
    for token, kind in zip(tokens, kinds, strict=False):
        # User-defined tokens are ordinary words too (runs of spaces, HTML tags); those that
        # look like a marker, such as <tool_call>, are kept out with the control tokens.
        if kind in (_UNKNOWN_TOKEN, _CONTROL_TOKEN) or (
            kind == _USER_DEFINED_TOKEN and str(token)[:1] in "<[" and str(token)[-1:] in ">]"
        ):
            found.add(str(token))
    return frozenset(found)
