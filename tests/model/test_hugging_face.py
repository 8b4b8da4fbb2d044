"""Folders of transformers, both ways, and what is wrong with them in one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from models import in_transformers, random_model, random_tokens

from madang.model import (
    LoraConfig,
    Segments,
    add_lora,
    load_hugging_face,
    save_hugging_face,
    save_weights,
)

LAYOUTS = [{"qk_norm": q, "tied": t} for q in (True, False) for t in (True, False)]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_transformers_loads_what_we_write(layout: dict[str, Any], tmp_path: Path) -> None:
    model = random_model(**layout, rope_base=50_000.0, norm_epsilon=1e-5, context=77)
    save_hugging_face(model, tmp_path, {"eos_token_id": 3})
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    assert theirs.config.eos_token_id == 3
    assert theirs.config.max_position_embeddings == 77
    tokens = random_tokens(40)
    logits = model.logits(model.hidden(tokens, Segments.from_lengths([40])))
    torch.testing.assert_close(theirs(tokens[None]).logits[0], logits, rtol=1e-4, atol=1e-4)
    again = load_hugging_face(tmp_path)
    assert again.config == model.config
    for name, tensor in again.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_we_load_what_transformers_writes_also_in_shards(
    layout: dict[str, Any], tmp_path: Path
) -> None:
    model = random_model(**layout)
    in_transformers(model).save_pretrained(tmp_path, max_shard_size="100KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    again = load_hugging_face(tmp_path)
    assert (again.config.qk_norm, again.config.tied) == (layout["qk_norm"], layout["tied"])
    for name, tensor in again.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name])


def test_bfloat16_is_read_as_float32_and_float64_on_demand(tmp_path: Path) -> None:
    model = random_model()
    in_transformers(model).to(torch.bfloat16).save_pretrained(tmp_path)
    again = load_hugging_face(tmp_path)
    assert again.embed_tokens.weight.dtype == torch.float32
    wanted = model.embed_tokens.weight.to(torch.bfloat16).float()
    assert torch.equal(again.embed_tokens.weight, wanted)
    assert load_hugging_face(tmp_path, torch.float64).embed_tokens.weight.dtype == torch.float64


def test_adapters_are_written_merged_and_stay(tmp_path: Path) -> None:
    model = random_model()
    add_lora(model, LoraConfig(rank=2), 0)
    for name, parameter in model.named_parameters():
        if name.endswith("lora_b"):
            parameter.data.fill_(0.05)
    save_hugging_face(model, tmp_path)
    tokens, segments = random_tokens(20), Segments.from_lengths([20])
    again = load_hugging_face(tmp_path)
    torch.testing.assert_close(
        again.hidden(tokens, segments), model.hidden(tokens, segments), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model_type": "gpt2"}, "type 'gpt2'; known are llama, qwen3"),
        ({"attention_bias": True}, "attention_bias, which is not supported"),
        ({"hidden_act": "gelu"}, "hidden_act gelu"),
        ({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1.0}}, "yarn rotary"),
        ({"hidden_size": "many"}, "does not describe a model"),
        ({"num_hidden_layers": 3}, "lacks the tensor"),
        ({"num_hidden_layers": 10**12}, "of so many layers"),
        ({"num_hidden_layers": 1}, "unknown tensor"),
        ({"intermediate_size": 5}, "has the shape"),
        ({"rope_parameters": 3}, "does not describe a whole model"),
        ({"num_key_value_heads": 3}, "evenly"),
    ],
)
def test_another_models_configuration_is_refused(
    changes: dict[str, Any], said: str, tmp_path: Path
) -> None:
    save_hugging_face(random_model(), tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(ValueError, match=said) as caught:
        load_hugging_face(tmp_path)
    assert str(tmp_path) in str(caught.value)


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_damaged_files_give_one_sentence(data: st.DataObject, tmp_path: Path) -> None:
    save_hugging_face(random_model(), tmp_path)
    name = data.draw(st.sampled_from(["config.json", "model.safetensors"]))
    path = tmp_path / name
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    else:
        # The front of a file holds its structure.
        place = data.draw(st.integers(0, min(len(content), 3000) - 1))
        content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    _loads_or_says(tmp_path)


def _loads_or_says(folder: Path) -> None:
    try:
        load_hugging_face(folder)
    except ValueError as error:
        assert str(folder) in str(error)
        assert "\n" not in str(error)


def test_absent_files_and_foreign_paths(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"config\.json"):
        load_hugging_face(tmp_path)
    save_hugging_face(random_model(), tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors is not there"):
        load_hugging_face(tmp_path)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "../elsewhere.safetensors"}}))
    with pytest.raises(ValueError, match="outside of its folder"):
        load_hugging_face(tmp_path)
    index.write_text("[]")
    with pytest.raises(ValueError, match="not an index"):
        load_hugging_face(tmp_path)


def test_weights_are_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_weights({"a": torch.ones(3)}, path)
    before = path.read_bytes()
    with pytest.raises((NotImplementedError, RuntimeError)):
        save_weights({"a": torch.ones(3), "b": torch.ones(3).to("meta")}, path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["weights.safetensors"]
