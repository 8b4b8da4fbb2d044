"""GGUF, the format of llama.cpp: read from any quantisation into float32, and written.

Names and keys: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. llama.cpp turns pairs of
neighbouring features where Hugging Face turns halves; for the architecture `llama` the rows of Q
and K are therefore stored in another order, for `qwen3` they are not.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter, LlamaFileType
from gguf.quants import dequantize, quantize
from numpy.typing import NDArray
from torch import Tensor

from madang.model.hugging_face import assemble, hugging_face_name
from madang.model.lora import merged_state
from madang.model.saving import replaced
from madang.model.transformer import ModelConfig, Transformer

Kind = Literal["f32", "f16", "q8_0"]

_KINDS: Final[dict[str, tuple[GGMLQuantizationType, LlamaFileType]]] = {
    "f32": (GGMLQuantizationType.F32, LlamaFileType.ALL_F32),
    "f16": (GGMLQuantizationType.F16, LlamaFileType.MOSTLY_F16),
    "q8_0": (GGMLQuantizationType.Q8_0, LlamaFileType.MOSTLY_Q8_0),
}
_OUTER: Final = {
    "embed_tokens.weight": "token_embd.weight",
    "norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
_INNER: Final = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_OURS: Final = {theirs: ours for ours, theirs in (_OUTER | _INNER).items()}


def load_gguf(path: Path, dtype: torch.dtype = torch.float32) -> Transformer:
    """Read a GGUF file of the architecture llama or qwen3, dequantised.

    Raises ValueError in one sentence where the file is damaged, of another architecture, or uses
    what is not supported here; FileNotFoundError where it is absent.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there")
    try:
        reader = _Reader(path)
        config = _read_config(reader)
        state = {}
        for tensor in reader.tensors:
            name = _our_name(tensor.name)
            # The copy keeps no page of the file mapped, and is aligned and writable.
            values = np.array(dequantize(tensor.data, tensor.tensor_type), copy=True)
            state[hugging_face_name(name)] = _from_pairs(torch.from_numpy(values), name, config)
    except _SayableError as error:
        raise ValueError(f"{path} {error}") from error
    # A damaged file makes the reader fail in any way that NumPy can.
    except Exception as error:
        raise ValueError(
            f"{path} is not a whole GGUF file ({error}); take another copy of it"
        ) from error
    return assemble(config, state, dtype, source=path)


def save_gguf(
    model: Transformer,
    path: Path,
    *,
    kind: Kind,
    tokenizer_fields: Mapping[str, Any],
    name: str,
) -> None:
    """Write a GGUF file, adapters merged, in float32, float16 or 8-bit blocks of 32 (q8_0).

    `tokenizer_fields` are the `tokenizer.*` keys by their full names, `name` the model's name.
    Norms stay in float32; for q8_0, rows whose width is no multiple of 32 stay in float16, as in
    llama.cpp's own conversion. Raises ValueError for another kind.
    """
    if kind not in _KINDS:
        raise ValueError(f"a GGUF file can be written as {', '.join(_KINDS)}; not as {kind}")
    config = model.config
    with replaced(path) as part:
        writer = GGUFWriter(part, "qwen3" if config.qk_norm else "llama")
        _write_fields(writer, config, kind, name)
        for key, value in tokenizer_fields.items():
            _write_field(writer, key, value)
        for own_name, tensor in merged_state(model).items():
            values = _to_pairs(tensor.detach().cpu().float(), own_name, config).numpy()
            stored = _stored_kind(values, kind)
            writer.add_tensor(_their_name(own_name), quantize(values, stored), raw_dtype=stored)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


class _Reader(GGUFReader):
    """A reader whose many small views of the file are plain arrays, which are made far quicker."""

    @property  # type: ignore[override]
    def data(self) -> NDArray[np.uint8]:
        return self._data

    @data.setter
    def data(self, mapped: NDArray[np.uint8]) -> None:
        self._data = mapped.view(np.ndarray)


class _SayableError(Exception):
    """What is wrong with a file, as the rest of a sentence that begins with its path."""


def _stored_kind(values: NDArray[np.float32], kind: Kind) -> GGMLQuantizationType:
    if values.ndim == 1:
        return GGMLQuantizationType.F32
    if kind == "q8_0" and values.shape[1] % 32:
        return GGMLQuantizationType.F16
    return _KINDS[kind][0]


def _write_fields(writer: GGUFWriter, config: ModelConfig, kind: Kind, name: str) -> None:
    writer.add_type("model")
    writer.add_name(name)
    writer.add_file_type(_KINDS[kind][1])
    writer.add_quantization_version(2)
    writer.add_block_count(config.layers)
    writer.add_context_length(config.context)
    writer.add_embedding_length(config.width)
    writer.add_feed_forward_length(config.hidden)
    writer.add_head_count(config.heads)
    writer.add_head_count_kv(config.key_value_heads)
    writer.add_key_length(config.head_width)
    writer.add_value_length(config.head_width)
    writer.add_rope_dimension_count(config.head_width)
    writer.add_rope_freq_base(config.rope_base)
    writer.add_layer_norm_rms_eps(config.norm_epsilon)
    writer.add_vocab_size(config.vocabulary)


def _write_field(writer: GGUFWriter, key: str, value: Any) -> None:
    match value:
        case bool():
            writer.add_bool(key, value)
        case int():
            writer.add_uint32(key, value)
        case float():
            writer.add_float32(key, value)
        case str():
            writer.add_string(key, value)
        case _:
            writer.add_array(key, value)


def _read_config(reader: GGUFReader) -> ModelConfig:
    def value(key: str, default: Any = None) -> Any:
        field = reader.get_field(key)
        if field is None and default is None:
            raise _SayableError(f"does not state {key}")
        return default if field is None else field.contents()

    kind = value("general.architecture")
    if kind not in ("llama", "qwen3"):
        raise _SayableError(f"holds a model of the architecture {kind}; known are llama, qwen3")
    if value(f"{kind}.rope.scaling.type", "none") != "none":
        raise _SayableError("uses scaled rotary positions, which are not supported here")
    if value(f"{kind}.expert_count", 0):
        raise _SayableError("is a mixture of experts, which is not supported here")
    names = {tensor.name for tensor in reader.tensors}
    shapes = {tensor.name: [int(n) for n in tensor.shape] for tensor in reader.tensors}
    if "token_embd.weight" not in names:
        raise _SayableError("has no embedding")
    heads, width = (
        int(value(f"{kind}.attention.head_count")),
        int(value(f"{kind}.embedding_length")),
    )
    return ModelConfig(
        vocabulary=shapes["token_embd.weight"][1],
        width=width,
        layers=int(value(f"{kind}.block_count")),
        heads=heads,
        key_value_heads=int(value(f"{kind}.attention.head_count_kv", heads)),
        head_width=int(value(f"{kind}.attention.key_length", width // max(heads, 1))),
        hidden=int(value(f"{kind}.feed_forward_length")),
        qk_norm="blk.0.attn_q_norm.weight" in names,
        tied="output.weight" not in names,
        rope_base=float(value(f"{kind}.rope.freq_base", 10_000.0)),
        norm_epsilon=float(value(f"{kind}.attention.layer_norm_rms_epsilon")),
        context=int(value(f"{kind}.context_length")),
    )


def _their_name(name: str) -> str:
    if name in _OUTER:
        return _OUTER[name]
    _, layer, inner = name.split(".", 2)
    return f"blk.{layer}.{_INNER[inner.removesuffix('.weight')]}.weight"


def _our_name(name: str) -> str:
    if name in _OURS:
        return _OURS[name]
    match name.split("."):
        case ["blk", layer, inner, "weight"] if layer.isdecimal() and inner in _OURS:
            return f"layers.{int(layer)}.{_OURS[inner]}.weight"
    raise _SayableError(f"has a tensor {name}, which no supported model has")


def _paired_heads(name: str, config: ModelConfig) -> int:
    """Return how many heads' rows stand in pairs in this tensor, 0 where none do."""
    if config.qk_norm:
        return 0
    if name.endswith("q_proj.weight"):
        return config.heads
    return config.key_value_heads if name.endswith("k_proj.weight") else 0


def _to_pairs(tensor: Tensor, name: str, config: ModelConfig) -> Tensor:
    heads = _paired_heads(name, config)
    if not heads:
        return tensor.contiguous()
    rows = tensor.view(heads, 2, config.head_width // 2, -1)
    return rows.transpose(1, 2).reshape(tensor.shape)


def _from_pairs(tensor: Tensor, name: str, config: ModelConfig) -> Tensor:
    heads = _paired_heads(name, config)
    if not heads:
        return tensor
    rows = tensor.view(heads, config.head_width // 2, 2, -1)
    return rows.transpose(1, 2).reshape(tensor.shape)
