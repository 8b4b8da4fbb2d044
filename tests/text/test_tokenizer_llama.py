"""The ids are llama.cpp's, asked of llama.cpp itself, and so is what the chat template writes."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("tokenizers", reason="needs the extra `train`")
pytest.importorskip("torch", reason="needs the extra `train`")

from madang.engines import EmbeddedEngine, EngineError
from madang.engines.smollm2 import smollm2_path
from madang.model.gguf_files import save_gguf
from madang.model.transformer import ModelConfig, Transformer
from madang.text.chat_template import encode_chat, render
from madang.text.gguf_tokenizer import gguf_tokenizer_fields, tokenizer_from_gguf
from madang.text.hard_texts import HARD_TEXTS, hard_texts
from madang.text.tokenizer import Tokenizer, train_tokenizer

# Pieces that meet in posts, and at whose borders tokenizers differ.
PIECES = st.one_of(
    st.sampled_from(HARD_TEXTS),
    st.sampled_from(
        [
            " ",
            "  ",
            "\n",
            "\r\n",
            "\t",
            "\u3000",
            "'s",
            "'LL",
            "1",
            "22",
            "½",
            ".",
            "...",
            "<|im_end|>",
            "ㅋㅋ",
            "안녕",
            "a",
            "é",
            "e\u0301",
            "👍🏽",
            "\u200d",
            "@a@b.c",
            "#태그",
            "\x00",
            "\x04",
            "\x7f",
        ]
    ),
    st.text(st.characters(min_codepoint=1, exclude_categories=["Cs", "Cn", "Co"]), max_size=6),
)
MIXED = st.lists(PIECES, max_size=8).map("".join)
CONVERSATION = [
    {"role": "system", "content": "Answer from the posts. 짧게."},
    {"role": "user", "content": "  When does the <|im_end|> ferry leave?\n"},
    {"role": "assistant", "content": "\n\nAt 7:30 — 새벽호 👍🏽"},
    {"role": "user", "content": ""},
    {"role": "assistant", "content": "Yes. "},
]


def as_llama_knows_it(text: str) -> str:
    """Leave out digits that came with Unicode 16, which its pattern for qwen2 takes for signs."""
    return "".join(one for one in text if one < "\U00010000" or unicodedata.category(one) != "Nd")


@pytest.fixture(scope="module")
def weights() -> Path:
    try:
        return smollm2_path()
    except EngineError as error:
        pytest.skip(f"the default model is not here: {error}")


@pytest.fixture(scope="module")
def smollm2(weights: Path) -> Tokenizer:
    return tokenizer_from_gguf(weights)


@pytest.fixture(scope="module")
def llama_smollm2(weights: Path) -> Iterator[EmbeddedEngine]:
    engine = EmbeddedEngine(weights, context_length=512, parallel=1)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def own() -> Tokenizer:
    return train_tokenizer([*HARD_TEXTS, *HARD_TEXTS], 1000)


@pytest.fixture(scope="module")
def llama_own(own: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedEngine]:
    """llama.cpp with a model of one small layer that has our own tokenizer."""
    config = ModelConfig(
        vocabulary=own.vocabulary_size + 24,
        width=64,
        layers=1,
        heads=1,
        key_value_heads=1,
        head_width=64,
        hidden=64,
        context=512,
    )
    model = Transformer(config)
    model.initialise(0)
    path = tmp_path_factory.mktemp("gguf") / "own.gguf"
    fields = gguf_tokenizer_fields(own, config.vocabulary)
    save_gguf(model, path, kind="f32", tokenizer_fields=fields, name="own")
    engine = EmbeddedEngine(path, context_length=512, parallel=1)
    yield engine
    engine.close()


def applied(engine: EmbeddedEngine, messages: list[dict[str, str]]) -> str:
    """Return what llama.cpp's own template engine makes of a conversation that awaits an answer."""
    connection = engine._server._connection
    reply = connection.ask(
        connection.json("POST", f"{connection.root}/apply-template", {"messages": messages}, 10.0)
    )
    return str(reply["prompt"])


def test_hard_texts_have_the_ids_of_llama_cpp(
    smollm2: Tokenizer, llama_smollm2: EmbeddedEngine, own: Tokenizer, llama_own: EmbeddedEngine
) -> None:
    for text in hard_texts():
        assert smollm2.encode(text) == llama_smollm2.tokenize(text)
        assert own.encode(text) == llama_own.tokenize(text)
        assert smollm2.decode(smollm2.encode(text)) == text


@settings(max_examples=150)
@given(text=MIXED)
def test_any_text_has_the_ids_of_llama_cpp_in_smollm2(
    smollm2: Tokenizer, llama_smollm2: EmbeddedEngine, text: str
) -> None:
    assert smollm2.encode(text) == llama_smollm2.tokenize(text)


@settings(max_examples=150)
@given(text=MIXED.map(as_llama_knows_it))
def test_any_text_has_the_ids_of_llama_cpp_in_our_own(
    own: Tokenizer, llama_own: EmbeddedEngine, text: str
) -> None:
    assert own.encode(text) == llama_own.tokenize(text)


def test_bytes_without_a_token_are_left_out_as_llama_cpp_does(
    smollm2: Tokenizer, llama_smollm2: EmbeddedEngine
) -> None:
    assert smollm2.encode("\x04") == []
    for text in (" \x04.", "th\x06e", "a\x13\x14b \x16 \x1d\x1d.", "\n\x04\n"):
        assert smollm2.encode(text) == llama_smollm2.tokenize(text)


def test_a_tokenizer_comes_back_from_the_file_it_was_written_to(
    own: Tokenizer, llama_own: EmbeddedEngine
) -> None:
    back = tokenizer_from_gguf(llama_own._path)
    assert back.special == own.special
    assert back.merges == own.merges
    assert back.pre_tokenizer == "qwen2"
    assert back.encode_batch(hard_texts()) == own.encode_batch(hard_texts())
    assert back.vocabulary_size == own.vocabulary_size + 24


def test_the_fields_of_smollm2_are_those_of_its_file(smollm2: Tokenizer) -> None:
    fields = gguf_tokenizer_fields(smollm2)
    assert fields["tokenizer.ggml.model"] == "gpt2"
    assert fields["tokenizer.ggml.pre"] == "smollm"
    assert fields["tokenizer.ggml.eos_token_id"] == 2
    assert fields["tokenizer.ggml.tokens"][:3] == ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    assert fields["tokenizer.ggml.token_type"] == [3] * 17 + [1] * (49152 - 17)
    assert fields["tokenizer.ggml.merges"][:2] == ["Ġ t", "Ġ a"]
    assert len(fields["tokenizer.ggml.merges"]) == 48900


def test_what_llama_cpp_cannot_cut_is_refused(own: Tokenizer) -> None:
    document: dict[str, Any] = {**own._document}
    document["pre_tokenizer"] = {"type": "ByteLevel", "add_prefix_space": False} | {
        "trim_offsets": False,
        "use_regex": True,
    }
    with pytest.raises(ValueError, match=r"llama\.cpp cannot cut texts as this tokenizer does"):
        gguf_tokenizer_fields(Tokenizer(document))


def test_a_file_that_is_no_gguf_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(b"no model at all, but long enough to look at it")
    with pytest.raises(ValueError, match=r"a\.gguf cannot be read as GGUF"):
        tokenizer_from_gguf(tmp_path / "a.gguf")
    with pytest.raises(ValueError, match=r"b\.gguf cannot be read as GGUF"):
        tokenizer_from_gguf(tmp_path / "b.gguf")


def test_llama_cpp_writes_what_our_template_writes(llama_own: EmbeddedEngine) -> None:
    for messages in (CONVERSATION[:4], CONVERSATION[:2], CONVERSATION[1:2], CONVERSATION[1:4]):
        assert applied(llama_own, messages) == render(messages, add_generation_prompt=True)


def test_our_template_writes_what_that_of_smollm2_writes(llama_smollm2: EmbeddedEngine) -> None:
    for messages in (CONVERSATION[:2], CONVERSATION[:4]):
        assert applied(llama_smollm2, messages) == render(messages, add_generation_prompt=True)
    # Without a system message, SmolLM2's file puts one of its maker first; ours does not.
    alone = CONVERSATION[1:2]
    written = applied(llama_smollm2, alone)
    assert written.endswith(render(alone, add_generation_prompt=True))
    assert "named SmolLM" in written


def test_a_chat_without_markers_in_it_has_the_ids_of_the_rendered_string(
    smollm2: Tokenizer, llama_smollm2: EmbeddedEngine
) -> None:
    messages = [
        {**one, "content": one["content"].replace("<|im_end|>", "")} for one in CONVERSATION
    ]
    connection = llama_smollm2._server._connection
    reply = connection.ask(
        connection.json(
            "POST",
            f"{connection.root}/tokenize",
            {"content": render(messages), "add_special": False, "parse_special": True},
            10.0,
        )
    )
    assert encode_chat(smollm2, messages).ids == reply["tokens"]
