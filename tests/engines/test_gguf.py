from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from madang.engines import EngineError
from madang.engines.gguf import GgufHeader, read_gguf_header


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def model_file() -> bytes:
    """A whole GGUF file with a vocabulary of four tokens and one tensor of 2 x 3 floats."""
    entries = [
        text("general.architecture") + struct.pack("<I", 8) + text("llama"),
        text("llama.context_length") + struct.pack("<II", 4, 2048),
        text("llama.rope.freq_base") + struct.pack("<If", 6, 1e4),
        text("tokenizer.ggml.tokens")
        + struct.pack("<IIQ", 9, 8, 4)
        + b"".join(map(text, ["<|im_start|>", "바다", "<tool_call>", "   "])),
        text("tokenizer.ggml.token_type") + struct.pack("<IIQ4i", 9, 5, 4, 3, 1, 4, 4),
    ]
    tensor = text("w") + struct.pack("<IQQIQ", 2, 2, 3, 0, 0)
    header = b"GGUF" + struct.pack("<IQQ", 3, 1, len(entries)) + b"".join(entries) + tensor
    return header + bytes(-len(header) % 32) + bytes(24)


def read(folder: Path, data: bytes) -> GgufHeader:
    path = folder / "model.gguf"
    path.write_bytes(data)
    return read_gguf_header(path)


def test_a_whole_file_is_read(tmp_path: Path) -> None:
    assert read(tmp_path, model_file()) == GgufHeader(
        architecture="llama",
        context_length=2048,
        control_tokens=frozenset({"<|im_start|>", "<tool_call>"}),
    )


def test_the_default_model_is_read(weights: Path) -> None:
    header = read_gguf_header(weights)
    assert header.architecture == "llama"
    assert header.context_length == 8192
    assert {"<|im_start|>", "<|im_end|>", "<|endoftext|>"} <= header.control_tokens
    assert len(header.control_tokens) == 17


def test_a_file_that_is_cut_anywhere_is_refused(tmp_path: Path) -> None:
    whole = model_file()
    for length in range(len(whole)):
        with pytest.raises(EngineError, match=r"model\.gguf") as refusal:
            read(tmp_path, whole[:length])
        assert "\n" not in str(refusal.value)


def test_how_much_is_missing_is_said(tmp_path: Path) -> None:
    whole = model_file()
    with pytest.raises(EngineError, match=rf"{len(whole) - 1} of {len(whole)} bytes"):
        read(tmp_path, whole[:-1])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damage_is_refused_or_harmless_but_never_a_crash(
    tmp_path: Path, data: st.DataObject
) -> None:
    damaged = bytearray(model_file())
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(damaged) - 9))
        damaged[at : at + 8] = data.draw(
            st.binary(min_size=8, max_size=8) | st.just(b"\xff" * 8) | st.just(bytes(8))
        )
    try:
        header = read(tmp_path, bytes(damaged))
    except EngineError:
        return
    assert isinstance(header, GgufHeader)


@pytest.mark.parametrize(
    ("data", "because"),
    [
        (b"", "is not a GGUF model"),
        (b"PK\x03\x04 an archive", "is not a GGUF model"),
        (b"<!doctype html>", "is not a GGUF model"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 1 << 60), "entries"),
        (b"GGUF" + struct.pack("<IQQ", 99, 0, 0), "version 99"),
    ],
)
def test_what_is_no_model_is_named(tmp_path: Path, data: bytes, because: str) -> None:
    with pytest.raises(EngineError, match=because):
        read(tmp_path, data)


def test_a_folder_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="cannot be read"):
        read_gguf_header(tmp_path)
