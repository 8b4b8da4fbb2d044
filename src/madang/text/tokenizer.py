"""The tokenizer: byte-level BPE with the same ids in `tokenizers`, transformers and llama.cpp.

Byte-level BPE is GPT-2's (Radford et al. 2019, "Language Models are Unsupervised Multitask
Learners", section 2.2): a text is cut by a pattern, each piece is spelt in 256 characters that
stand for its UTF-8 bytes, and pairs are joined in the order in which they were learnt. Nothing is
normalised and nothing is unknown.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import tokenizers
from tokenizers import AddedToken, models, trainers

from madang.text.chat_template import CHAT_TEMPLATE

END_OF_TEXT: Final = "<|endoftext|>"
START_OF_TURN: Final = "<|im_start|>"
END_OF_TURN: Final = "<|im_end|>"
POST: Final = "<|post|>"
CITE: Final = "<|cite|>"
PAD: Final = "<|pad|>"
SPECIAL_TOKENS: Final = (END_OF_TEXT, START_OF_TURN, END_OF_TURN, POST, CITE, PAD)
SMALLEST_VOCABULARY: Final = 256 + len(SPECIAL_TOKENS)

# llama.cpp, `llm_tokenizer_bpe`, LLAMA_VOCAB_PRE_TYPE_QWEN2: letters with the character before
# them, digits one by one, runs of signs, line ends, spaces.
QWEN2_PATTERN: Final = (
    r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
    r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# The same as the checkpoints of Qwen2 and Qwen3 write it.
_QWEN2_PUBLISHED: Final = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
    r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_BYTES: Final = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False}


def _split_at(pattern: str) -> dict[str, Any]:
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated"}
    return split | {"invert": False}


def _split_by(pattern: str) -> dict[str, Any]:
    steps = [_split_at(pattern), _BYTES | {"use_regex": False}]
    return {"type": "Sequence", "pretokenizers": steps}


# llama.cpp's name of each pre-tokenizer that is known here, as `tokenizer.json` states it.
PRE_TOKENIZERS: Final = {
    "qwen2": _split_by(QWEN2_PATTERN),
    "smollm": {
        "type": "Sequence",
        "pretokenizers": [
            {"type": "Digits", "individual_digits": True},
            _BYTES | {"use_regex": True},
        ],
    },
}
_CHARACTERS_AN_ENTRY: Final = 1000
# Nobody writes such words; what is learnt from them is noise, and the time that training takes
# grows with the square of a word's length.
_TOO_LONG: Final = re.compile(r"(\w{128})\w+|([^\w\s]{128})[^\w\s]+|(\s{128})\s+")


class Tokenizer:
    """Text to token ids and back.

    Made by `load`, `from_json`, `train_tokenizer` or `tokenizer_from_gguf`; never changes. What
    looks like a special token in a text is plain text: special ids are only ever put in by name.
    """

    def __init__(self, document: dict[str, Any]) -> None:
        """Take the content of a `tokenizer.json`. Raises ValueError unless it is byte-level BPE."""
        _check(document)
        self._document = document
        try:
            self._backend = tokenizers.Tokenizer.from_str(json.dumps(document))
        except Exception as error:  # The library raises nothing more exact.
            raise ValueError(f"the tokenizer cannot be used ({error})") from None
        self._backend.encode_special_tokens = True
        self._backend.no_padding()
        self._backend.no_truncation()
        self.special: dict[str, int] = {
            token["content"]: token["id"] for token in document["added_tokens"] if token["special"]
        }
        self._tokens = _in_order(document["model"]["vocab"], self.added)
        if END_OF_TEXT not in self.special:
            raise ValueError(f"the tokenizer has no {END_OF_TEXT}, which ends each document")
        self.end_of_text: int = self.special[END_OF_TEXT]
        self.post: int | None = self.special.get(POST)
        self.end_of_turn: int | None = self.special.get(END_OF_TURN)
        self.pad: int = self.special.get(PAD, self.end_of_text)

    @classmethod
    def load(cls, path: Path | str) -> Tokenizer:
        """Read a `tokenizer.json`, or the one in a folder. Raises ValueError where it is none."""
        path = Path(path)
        file = path / "tokenizer.json" if path.is_dir() else path
        try:
            return cls.from_json(file.read_text("utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{file} cannot be read: {error}") from None
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from None

    @classmethod
    def from_json(cls, text: str) -> Tokenizer:
        """Read the text of a `tokenizer.json`. Raises ValueError where it is none."""
        try:
            document = json.loads(text)
        except ValueError as error:
            raise ValueError(f"the tokenizer is not JSON ({error})") from None
        if not isinstance(document, dict):
            raise ValueError("the tokenizer is not a JSON object")
        return cls(document)

    def to_json(self) -> str:
        """Return the text of its `tokenizer.json`; the same tokenizer gives the same bytes."""
        return json.dumps(self._document, ensure_ascii=False, sort_keys=True, indent=1) + "\n"

    def save(self, folder: Path | str) -> None:
        """Write `tokenizer.json`, `tokenizer_config.json` and `chat_template.jinja`.

        transformers reads them by `AutoTokenizer`, without code of ours.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        config = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": None,
            "eos_token": END_OF_TEXT if self.end_of_turn is None else END_OF_TURN,
            "pad_token": self.token(self.pad),
            "unk_token": None,
            "additional_special_tokens": sorted(self.special, key=self.special.__getitem__),
            "add_prefix_space": False,
            "clean_up_tokenization_spaces": False,
            "chat_template": CHAT_TEMPLATE,
        }
        files = {
            "tokenizer.json": self.to_json(),
            "tokenizer_config.json": json.dumps(config, ensure_ascii=False, indent=2) + "\n",
            "chat_template.jinja": CHAT_TEMPLATE,
        }
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8", newline="\n")

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON (sorted, without spaces), in hexadecimal."""
        text = json.dumps(self._document, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def vocabulary_size(self) -> int:
        """How many ids there are, special tokens included: every id is below it."""
        return len(self._tokens)

    @property
    def pre_tokenizer(self) -> str | None:
        """llama.cpp's name for how a text is cut before BPE; none where it knows no such way."""
        return _pre_tokenizer_name(self._document["pre_tokenizer"], self._tokens)

    @property
    def merges(self) -> list[tuple[str, str]]:
        """The pairs in the order in which they are joined, in GPT-2's spelling of bytes."""
        pairs = self._document["model"]["merges"]
        split = (pair.split(" ") if isinstance(pair, str) else pair for pair in pairs)
        return [(left, right) for left, right in split]

    @cached_property
    def added(self) -> dict[int, str]:
        """The tokens that are no product of BPE, the special ones among them, by id."""
        return {token["id"]: token["content"] for token in self._document["added_tokens"]}

    def token(self, token_id: int) -> str:
        """Return a token as the vocabulary spells it."""
        return self._tokens[token_id]

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text; special tokens in it are plain text.

        Surrogates without a partner, which UTF-8 cannot carry, are read as question marks.
        """
        return self.encode_with_starts(text)[0]

    def encode_with_starts(self, text: str) -> tuple[list[int], list[int]]:
        """Return the ids of a text and where each begins in it, in code points."""
        encoding = self._backend.encode(_encodable(text), add_special_tokens=False)
        return encoding.ids, [start for start, _ in encoding.offsets]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text, worked out on all cores; the same as one by one."""
        plain = [_encodable(text) for text in texts]
        encodings = self._backend.encode_batch_fast(plain, add_special_tokens=False)
        return [encoding.ids for encoding in encodings]

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ids; bytes that are not UTF-8 become U+FFFD."""
        return self.bytes_of(ids).decode("utf-8", "replace")

    def bytes_of(self, ids: Iterable[int]) -> bytes:
        """Return the bytes of ids; a special token is spelt as its name.

        Raises ValueError for an id outside the vocabulary.
        """
        spelt = self._token_bytes
        try:
            return b"".join([spelt[token_id] for token_id in ids])
        except (IndexError, KeyError):
            raise ValueError(f"an id is not below {self.vocabulary_size}") from None

    def fertility(self, text: str) -> float:
        """Return tokens a word (what stands between spaces); 0 without words."""
        words = len(text.split())
        return len(self.encode(text)) / words if words else 0.0

    @cached_property
    def _token_bytes(self) -> dict[int, bytes]:
        byte_of = {character: byte for byte, character in byte_characters().items()}
        added = self.added
        return {
            number: added[number].encode()
            if number in added
            else bytes(byte_of[character] for character in token)
            for number, token in enumerate(self._tokens)
        }


def train_tokenizer(texts: Iterable[str], vocabulary_size: int) -> Tokenizer:
    """Learn a byte-level BPE vocabulary from texts; the same texts give the same tokenizer.

    `vocabulary_size` counts the 256 bytes and the special tokens, which come first. A pair that
    occurs only once is not learnt, so texts that are too few for it give a smaller vocabulary:
    `Tokenizer.vocabulary_size` says how large it became. Of more than 1,000 characters for each
    entry, a sample by hash is taken: of 150,000 posts in two languages, 30 % gave 8,192 entries
    in a third of the time that spend 0.3 % more tokens in English and 1.7 % more in Korean.
    Raises ValueError where the size is below 262 or there is no text at all.
    """
    if vocabulary_size < SMALLEST_VOCABULARY:
        raise ValueError(
            f"a vocabulary of {vocabulary_size} is too small; give at least {SMALLEST_VOCABULARY}"
        )
    backend = tokenizers.Tokenizer(models.BPE())
    document = json.loads(backend.to_str())
    document["pre_tokenizer"] = PRE_TOKENIZERS["qwen2"]
    document["decoder"] = _BYTES | {"use_regex": True}
    backend = tokenizers.Tokenizer.from_str(json.dumps(document))
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        min_frequency=2,
        special_tokens=[AddedToken(name, special=True) for name in SPECIAL_TOKENS],
        initial_alphabet=sorted(byte_characters().values()),
        show_progress=False,
    )
    sample = _sample(texts, vocabulary_size * _CHARACTERS_AN_ENTRY)
    if not sample:
        raise ValueError("there is no text to learn a vocabulary from; bring posts first")
    words = (_TOO_LONG.sub(r"\1\2\3", text) for text in sample)
    backend.train_from_iterator(words, trainer=trainer)
    return Tokenizer.from_json(backend.to_str())


def _sample(texts: Iterable[str], characters: int) -> list[str]:
    """Return the texts with the lowest hashes that together reach a number of characters.

    So it is the same sample in whatever order they come, and no more than that is held.
    """
    heap: list[tuple[int, str]] = []
    total = 0
    for text in texts:
        if not text:
            continue
        text = _encodable(text)
        digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
        heapq.heappush(heap, (-int.from_bytes(digest), text))
        total += len(text)
        while total - len(heap[0][1]) >= characters:
            total -= len(heapq.heappop(heap)[1])
    return [text for _, text in heap]


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


def encode_post_thread(tokenizer: Tokenizer, texts: Sequence[str]) -> tuple[list[int], list[int]]:
    """Return the ids of a document, a thread of posts, and where each post begins in them.

    Each post is `<|post|>` and its text; where the tokenizer has no such token, two line ends
    stand between posts. `<|endoftext|>` closes the document and belongs to its last post. The
    offsets have one entry more than there are posts: a post ends where the next begins.
    """
    return join_posts(tokenizer, tokenizer.encode_batch(texts))


def join_posts(tokenizer: Tokenizer, posts: Sequence[list[int]]) -> tuple[list[int], list[int]]:
    """Do what `encode_post_thread` does, with the ids of each post's text given."""
    blank = tokenizer.encode("\n\n") if tokenizer.post is None else []
    ids: list[int] = []
    offsets = []
    for post in posts:
        offsets.append(len(ids))
        if tokenizer.post is not None:
            ids.append(tokenizer.post)
        elif ids:
            ids += blank
        ids += post
    ids.append(tokenizer.end_of_text)
    offsets.append(len(ids))
    return ids, offsets


def byte_characters() -> dict[int, str]:
    """Return GPT-2's character for each byte: itself where it prints, else one from U+0100 on."""
    printed = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = (byte for byte in range(256) if byte not in printed)
    characters = {byte: chr(0x100 + number) for number, byte in enumerate(others)}
    return {byte: characters.get(byte, chr(byte)) for byte in range(256)}


def pre_tokenizer(name: str, tokens: Iterable[str]) -> dict[str, Any]:
    """Return how texts are cut for a vocabulary, as `tokenizer.json` states it.

    A byte that has no token, as some control characters in SmolLM2, is left out by every program.
    llama.cpp then joins nothing across the gap; for `tokenizers`, a step says so.
    """
    known = PRE_TOKENIZERS[name]
    unknown = sorted(set(byte_characters().values()).difference(tokens))
    if not unknown:
        return known
    gaps = _split_at(f"[{''.join(unknown)}]")
    return known | {"pretokenizers": [*known["pretokenizers"], gaps]}


def _pre_tokenizer_name(stated: Any, vocabulary: Iterable[str]) -> str | None:
    plain = _without_trimming(stated)
    if plain == _without_trimming(_split_by(_QWEN2_PUBLISHED)):
        return "qwen2"
    for name, known in PRE_TOKENIZERS.items():
        # Published files lack the step for bytes without a token, which hardly any text has.
        if plain in map(_without_trimming, (known, pre_tokenizer(name, vocabulary))):
            return name
    return None


def _in_order(vocabulary: dict[str, int], added: dict[int, str]) -> list[str]:
    by_id = {number: token for token, number in vocabulary.items()} | added
    if sorted(by_id) != list(range(len(by_id))):
        raise ValueError("the tokenizer's ids have gaps")
    return [by_id[number] for number in range(len(by_id))]


def _without_trimming(value: Any) -> Any:
    """Leave out of a pre-tokenizer what moves offsets and never ids."""
    if isinstance(value, dict):
        return {k: _without_trimming(v) for k, v in value.items() if k != "trim_offsets"}
    return [_without_trimming(one) for one in value] if isinstance(value, list) else value


def _check(document: dict[str, Any]) -> None:
    model = document.get("model")
    if not isinstance(model, dict) or model.get("type", "BPE") != "BPE":
        raise ValueError("the tokenizer is not byte-level BPE, the only kind that is used here")
    if '"ByteLevel"' not in json.dumps(document.get("pre_tokenizer")):
        raise ValueError("the tokenizer is not byte-level BPE, the only kind that is used here")
