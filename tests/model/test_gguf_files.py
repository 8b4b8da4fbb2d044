"""GGUF both ways, and what is wrong with a file in one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from models import random_model

from madang.model import Transformer, load_gguf, save_gguf

FIELDS: dict[str, Any] = {
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "qwen2",
    "tokenizer.ggml.tokens": [f"t{i}" for i in range(301)],
    "tokenizer.ggml.token_type": [1] * 301,
    "tokenizer.ggml.merges": ["a b"],
    "tokenizer.ggml.bos_token_id": 0,
    "tokenizer.ggml.add_bos_token": False,
}
LAYOUTS = [{"qk_norm": q, "tied": t} for q in (True, False) for t in (True, False)]


def _save(model: Transformer, path: Path, kind: Any = "f32") -> Path:
    save_gguf(model, path, kind=kind, tokenizer_fields=FIELDS, name="small")
    return path


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("kind", "error"), [("f32", 0.0), ("f16", 1e-3), ("q8_0", 5e-3)])
def test_a_file_gives_back_its_model(
    layout: dict[str, Any], kind: str, error: float, tmp_path: Path
) -> None:
    model = random_model(**layout, rope_base=50_000.0, norm_epsilon=1e-5)
    again = load_gguf(_save(model, tmp_path / "m.gguf", kind))
    assert vars(again.config) == vars(model.config) | {
        "norm_epsilon": pytest.approx(1e-5),
        "rope_base": 50_000.0,
    }
    for name, tensor in again.state_dict().items():
        bound = 0.0 if tensor.ndim == 1 else error
        assert (tensor - model.state_dict()[name]).abs().max() <= bound, name


def test_the_file_says_what_llama_cpp_reads(tmp_path: Path) -> None:
    model = random_model(qk_norm=False)
    reader = gguf.GGUFReader(_save(model, tmp_path / "m.gguf", "q8_0"))
    values = {name: field.contents() for name, field in reader.fields.items()}
    assert values["general.architecture"] == "llama"
    assert values["general.name"] == "small"
    assert values["llama.attention.head_count_kv"] == 2
    assert values["tokenizer.ggml.tokens"] == FIELDS["tokenizer.ggml.tokens"]
    assert values["tokenizer.ggml.add_bos_token"] is False
    kinds = {tensor.name: tensor.tensor_type.name for tensor in reader.tensors}
    assert kinds["blk.0.attn_norm.weight"] == "F32"
    assert kinds["blk.1.ffn_down.weight"] == "Q8_0"
    assert "output.weight" not in kinds
    # Llama's pairs are neighbours in the file: rows 0 and D/2 of a head stand side by side.
    stored = next(t for t in reader.tensors if t.name == "blk.0.attn_q.weight")
    rows = gguf.quants.dequantize(stored.data, stored.tensor_type)
    weight = model.state_dict()["layers.0.self_attn.q_proj.weight"].numpy()
    np.testing.assert_allclose(rows[:4], weight[[0, 16, 1, 17]], atol=5e-3)


def test_rows_that_do_not_fill_blocks_stay_in_float16(tmp_path: Path) -> None:
    model = random_model(hidden=40)
    reader = gguf.GGUFReader(_save(model, tmp_path / "m.gguf", "q8_0"))
    kinds = {tensor.name: tensor.tensor_type.name for tensor in reader.tensors}
    assert kinds["blk.0.ffn_down.weight"] == "F16"
    load_gguf(tmp_path / "m.gguf")


def test_another_kind_is_refused_and_nothing_left(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="f32, f16, q8_0"):
        _save(random_model(), tmp_path / "m.gguf", "q2")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("field", "said"),
    [
        (("general.architecture", "gpt2"), "architecture gpt2"),
        (("llama.rope.scaling.type", "yarn"), "scaled rotary positions"),
        (("llama.attention.head_count", None), "does not state llama.attention.head_count"),
    ],
)
def test_other_models_are_refused(field: tuple[str, str | None], said: str, tmp_path: Path) -> None:
    model = random_model(qk_norm=False)
    path = _save(model, tmp_path / "m.gguf")
    key, value = field
    other = tmp_path / "other.gguf"
    reader = gguf.GGUFReader(path)
    writer = gguf.GGUFWriter(other, value if key == "general.architecture" else "llama")
    for name, old in reader.fields.items():
        if not name.startswith(("GGUF.", "general.architecture", "tokenizer")) and name != key:
            kind = old.types[0]
            writer.add_key_value(name, old.contents(), kind)
    if value and key != "general.architecture":
        writer.add_string(key, value)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, np.array(tensor.data))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ValueError, match=said):
        load_gguf(other)


def test_an_absent_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="is not there"):
        load_gguf(tmp_path / "none.gguf")


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_damaged_files_give_one_sentence(data: st.DataObject, tmp_path: Path) -> None:
    path = _save(random_model(qk_norm=False, layers=1), tmp_path / "m.gguf")
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    else:
        place = data.draw(st.integers(0, 1500) | st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        model = load_gguf(path)
    except ValueError as error:
        assert str(path) in str(error)
        assert "\n" not in str(error)
    else:
        assert all(torch.is_tensor(tensor) for tensor in model.state_dict().values())
