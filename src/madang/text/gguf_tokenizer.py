"""The tokenizer of a GGUF file, read and written.

Keys: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, "Tokenizer".
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from gguf import GGUFReader, TokenType

from madang.text.chat_template import CHAT_TEMPLATE
from madang.text.tokenizer import PRE_TOKENIZERS, Tokenizer, pre_tokenizer

_PREFIX: Final = "tokenizer.ggml."


def tokenizer_from_gguf(path: Path | str) -> Tokenizer:
    """Return the tokenizer of a GGUF file, giving the ids that llama.cpp gives.

    Raises ValueError where the file cannot be read, or its tokenizer is not byte-level BPE with a
    way to cut texts that is known here.
    """
    try:
        reader = GGUFReader(path)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as GGUF: {error}") from None

    def value(name: str) -> Any:
        field = reader.get_field(_PREFIX + name)
        if field is None:
            raise ValueError(f"{path} does not state {_PREFIX + name}; use a whole GGUF model")
        return field.contents()

    kind, pre = value("model"), value("pre")
    if kind != "gpt2" or pre not in PRE_TOKENIZERS:
        raise ValueError(
            f"{path} has a tokenizer of the kind {kind}/{pre}; "
            f"known are gpt2 with {', '.join(PRE_TOKENIZERS)}"
        )
    tokens: list[str] = value("tokens")
    added = [
        {
            "id": number,
            "content": token,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": type_ == TokenType.CONTROL,
        }
        for number, (token, type_) in enumerate(zip(tokens, value("token_type"), strict=True))
        if type_ in (TokenType.CONTROL, TokenType.USER_DEFINED)
    ]
    return Tokenizer(
        {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": added,
            "normalizer": None,
            "pre_tokenizer": pre_tokenizer(pre, tokens),
            "post_processor": None,
            "decoder": {
                "type": "ByteLevel",
                "add_prefix_space": False,
                "trim_offsets": False,
                "use_regex": True,
            },
            "model": {
                "type": "BPE",
                "dropout": None,
                "unk_token": None,
                "continuing_subword_prefix": None,
                "end_of_word_suffix": None,
                "fuse_unk": False,
                "byte_fallback": False,
                "ignore_merges": False,
                "vocab": {token: number for number, token in enumerate(tokens)},
                "merges": [pair.split(" ") for pair in value("merges")],
            },
        }
    )


def gguf_tokenizer_fields(tokenizer: Tokenizer, vocabulary: int | None = None) -> dict[str, Any]:
    """Return the metadata that describes a tokenizer in GGUF, by full key.

    Values are str, bool, int (to be written as uint32), list[str] or, for the token types,
    list[int] (int32). `vocabulary` is the number of rows of the model's embedding where that is
    larger; the rest is filled with unused tokens. Raises ValueError where llama.cpp knows no such
    tokenizer.
    """
    if tokenizer.pre_tokenizer is None:
        raise ValueError(
            "llama.cpp cannot cut texts as this tokenizer does; "
            f"use one with {' or '.join(PRE_TOKENIZERS)}"
        )
    size = tokenizer.vocabulary_size
    unused = max(0, (vocabulary or size) - size)
    added = tokenizer.added
    types = [
        TokenType.NORMAL
        if number not in added
        else TokenType.CONTROL
        if added[number] in tokenizer.special
        else TokenType.USER_DEFINED
        for number in range(size)
    ]
    end = tokenizer.end_of_text if tokenizer.end_of_turn is None else tokenizer.end_of_turn
    fields: dict[str, Any] = {
        "model": "gpt2",
        "pre": tokenizer.pre_tokenizer,
        "tokens": [tokenizer.token(number) for number in range(size)]
        + [f"[unused{number}]" for number in range(unused)],
        "token_type": [int(type_) for type_ in types] + [int(TokenType.UNUSED)] * unused,
        "merges": [" ".join(pair) for pair in tokenizer.merges],
        # llama.cpp takes id 11 for either where a file does not say.
        "bos_token_id": tokenizer.end_of_text,
        "eos_token_id": end,
        "padding_token_id": tokenizer.pad,
        "add_bos_token": False,
        "add_eos_token": False,
        "add_space_prefix": False,
    }
    return {_PREFIX + name: value for name, value in fields.items()} | {
        "tokenizer.chat_template": CHAT_TEMPLATE
    }
