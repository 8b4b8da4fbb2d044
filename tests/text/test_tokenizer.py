from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("tokenizers")

from madang.text.fertility import Fertility, fertility_by_language
from madang.text.hard_texts import HARD_TEXTS, hard_texts
from madang.text.tokenizer import (
    SMALLEST_VOCABULARY,
    SPECIAL_TOKENS,
    Tokenizer,
    encode_post_thread,
    join_posts,
    train_tokenizer,
)

TEXTS = [*HARD_TEXTS, *HARD_TEXTS]
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(TEXTS, 800)


def without_posts(tokenizer: Tokenizer) -> Tokenizer:
    """The same vocabulary, in which `<|post|>` is no special token, as in foreign models."""
    document = json.loads(tokenizer.to_json())
    document["added_tokens"] = [
        token for token in document["added_tokens"] if token["content"] != "<|post|>"
    ]
    return Tokenizer(document)


def test_special_tokens_come_first_and_every_id_is_below_the_size(tokenizer: Tokenizer) -> None:
    assert [tokenizer.special[name] for name in SPECIAL_TOKENS] == list(range(6))
    assert tokenizer.end_of_text == 0
    assert tokenizer.post == 3
    assert tokenizer.vocabulary_size == 800
    ids = [number for row in tokenizer.encode_batch(hard_texts()) for number in row]
    assert 6 <= min(ids) <= max(ids) < 800


def test_hard_texts_come_back(tokenizer: Tokenizer) -> None:
    for text in hard_texts():
        assert tokenizer.decode(tokenizer.encode(text)) == text


@given(ANY_TEXT)
def test_any_text_comes_back(text: str) -> None:
    tokenizer = TRAINED
    ids = tokenizer.encode(text)
    assert tokenizer.bytes_of(ids) == text.encode()
    assert not set(ids) & set(tokenizer.special.values())


@given(st.lists(ANY_TEXT, max_size=5))
def test_a_batch_is_its_texts_one_by_one(texts: list[str]) -> None:
    assert TRAINED.encode_batch(texts) == [TRAINED.encode(text) for text in texts]


TRAINED = train_tokenizer(TEXTS, 800)


def test_names_of_special_tokens_are_text(tokenizer: Tokenizer) -> None:
    for name in SPECIAL_TOKENS:
        ids = tokenizer.encode(f"a{name}b")
        assert not set(ids) & set(tokenizer.special.values())
        assert tokenizer.decode(ids) == f"a{name}b"
        assert tokenizer.encode_batch([name])[0] == tokenizer.encode(name)


def test_surrogates_without_a_partner_are_question_marks(tokenizer: Tokenizer) -> None:
    for text, plain in (("a\ud800b", "a?b"), ("\udc00\ud800", "??"), ("안\udfff", "안?")):
        assert tokenizer.decode(tokenizer.encode(text)) == plain
        assert tokenizer.encode_batch([text]) == [tokenizer.encode(plain)]
        assert train_tokenizer([text] * 2, 300).digest == train_tokenizer([plain] * 2, 300).digest


def test_ids_that_are_not_there_are_a_clear_error(tokenizer: Tokenizer) -> None:
    assert tokenizer.bytes_of([0, 1]) == b"<|endoftext|><|im_start|>"
    for number in (-1, 800):
        with pytest.raises(ValueError, match="not below 800"):
            tokenizer.decode([number])


def test_the_same_texts_give_the_same_bytes_whatever_the_threads(tokenizer: Tokenizer) -> None:
    learn = (
        "from madang.text.hard_texts import HARD_TEXTS as H;"
        "from madang.text.tokenizer import train_tokenizer;"
        "print(train_tokenizer([*H, *H], 800).digest)"
    )
    for settings in (
        {"RAYON_NUM_THREADS": "1"},
        {"RAYON_NUM_THREADS": "5", "PYTHONHASHSEED": "7"},
        {"TOKENIZERS_PARALLELISM": "false"},
    ):
        done = subprocess.run(
            [sys.executable, "-c", learn],
            env={**os.environ, **settings},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == tokenizer.digest


def test_the_order_of_texts_does_not_matter(tokenizer: Tokenizer) -> None:
    shuffled = list(TEXTS)
    random.Random(3).shuffle(shuffled)
    assert train_tokenizer(iter(shuffled), 800).to_json() == tokenizer.to_json()


def test_saved_and_loaded_it_is_the_same(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path / "a")
    for path in (tmp_path / "a", tmp_path / "a" / "tokenizer.json"):
        loaded = Tokenizer.load(path)
        assert loaded.digest == tokenizer.digest
        assert loaded.to_json() == tokenizer.to_json()
        assert loaded.encode_batch(hard_texts()) == tokenizer.encode_batch(hard_texts())
    Tokenizer.load(tmp_path / "a").save(tmp_path / "b")
    for file in (tmp_path / "a").iterdir():
        assert (tmp_path / "b" / file.name).read_bytes() == file.read_bytes()


def test_another_vocabulary_has_another_digest(tokenizer: Tokenizer) -> None:
    assert train_tokenizer(TEXTS, 799).digest != tokenizer.digest


def test_of_very_many_texts_a_sample_is_taken_in_whatever_order_they_come() -> None:
    letters = random.Random(2)
    words = ["".join(letters.choices("abcdefgh", k=5)) for _ in range(100)]
    texts = [f"{word} " * 1000 for word in words]
    digest = train_tokenizer(texts, 300).digest
    assert train_tokenizer(reversed(texts), 300).digest == digest
    # A text's own hash decides, so that one outside the sample can go and nothing changes.
    without = {
        train_tokenizer([text for text in texts if text != gone], 300).digest for gone in texts[:6]
    }
    assert digest in without
    assert len(without) > 1


@pytest.mark.parametrize("texts", [[], [""], ["", ""]])
def test_no_text_is_a_clear_error(texts: list[str]) -> None:
    with pytest.raises(ValueError, match="no text to learn a vocabulary from"):
        train_tokenizer(texts, 1000)


def test_a_vocabulary_too_small_for_the_bytes_is_a_clear_error() -> None:
    with pytest.raises(ValueError, match="261 is too small; give at least 262"):
        train_tokenizer(["text"], 261)
    assert train_tokenizer(["text"], 262).vocabulary_size == SMALLEST_VOCABULARY == 262


def test_a_vocabulary_larger_than_the_texts_support_becomes_smaller() -> None:
    tokenizer = train_tokenizer(["only once"], 5000)
    assert tokenizer.vocabulary_size == 262 + 1, "o and n stand together twice, and nothing else"
    emoji = train_tokenizer(["😀"] * 3, 5000)
    assert emoji.vocabulary_size == 262 + 3
    assert len(emoji.encode("😀")) == 1


def test_a_word_of_megabytes_is_learnt_from_in_seconds() -> None:
    letters = random.Random(0).choices("abcdefghijklmnop", k=1_000_000)
    tokenizer = train_tokenizer(["".join(letters), "ㅋ" * 1_000_000, " " * 500_000], 4096)
    assert tokenizer.vocabulary_size < 400
    assert tokenizer.decode(tokenizer.encode("ㅋ" * 1000)) == "ㅋ" * 1000


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        ('{"model": {"type": "WordPiece"}}', "not byte-level BPE"),
        ('{"model": {"type": "BPE"}, "pre_tokenizer": {"type": "ByteLevel"}}', "cannot be used"),
        ('{"model": {"type": "BPE"}, "pre_tokenizer": {"type": "Whitespace"}}', "byte-level"),
    ],
)
def test_what_is_no_tokenizer_is_a_clear_error(text: str, what: str, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(text)
    with pytest.raises(ValueError, match=rf"tokenizer\.json: .*{what}"):
        Tokenizer.load(tmp_path)
    with pytest.raises(ValueError, match=r"missing.* cannot be read"):
        Tokenizer.load(tmp_path / "missing")


def test_ids_with_gaps_are_refused(tokenizer: Tokenizer) -> None:
    document = json.loads(tokenizer.to_json())
    document["model"]["vocab"]["beyond"] = 900
    with pytest.raises(ValueError, match="ids have gaps"):
        Tokenizer(document)


def test_a_tokenizer_that_ends_no_document_is_refused(tokenizer: Tokenizer) -> None:
    document = json.loads(tokenizer.to_json())
    document["added_tokens"] = document["added_tokens"][1:]
    with pytest.raises(ValueError, match=r"has no <\|endoftext\|>"):
        Tokenizer(document)


@given(st.lists(ANY_TEXT, min_size=1, max_size=4))
def test_every_token_of_a_thread_belongs_to_a_post(texts: list[str]) -> None:
    for tokenizer in (TRAINED, FOREIGN):
        ids, offsets = encode_post_thread(tokenizer, texts)
        assert (ids, offsets) == join_posts(tokenizer, [tokenizer.encode(one) for one in texts])
        assert offsets == sorted(offsets)
        assert (offsets[0], offsets[-1], len(offsets)) == (0, len(ids), len(texts) + 1)
        assert ids[-1] == tokenizer.end_of_text
        assert ids.count(tokenizer.end_of_text) == 1
        pieces = [tokenizer.bytes_of(ids[start:end]).decode() for start, end in pairwise(offsets)]
        if tokenizer.post is not None:
            whole = [f"<|post|>{text}" for text in texts]
            assert ids.count(tokenizer.post) == len(texts)
        else:
            whole = [text if not any(texts[:n]) else f"\n\n{text}" for n, text in enumerate(texts)]
        assert "".join(pieces) == "".join(whole) + "<|endoftext|>"
        assert pieces[:-1] == whole[:-1]


FOREIGN = without_posts(TRAINED)


def test_fertility_is_counted_by_language(tokenizer: Tokenizer) -> None:
    found = fertility_by_language(
        tokenizer, [("en", "one two three"), ("ko", "배는 몇 시야"), ("en", "four")] * 600
    )
    assert found["en"].texts == 1200
    assert found["en"].words == 2400
    assert found["ko"].characters == 600 * 7
    assert found["ko"].bytes == 600 * len("배는 몇 시야".encode())
    assert found["en"].tokens_a_word == pytest.approx(
        600 * sum(len(tokenizer.encode(text)) for text in ("one two three", "four")) / 2400
    )
    assert tokenizer.fertility("one two three") == len(tokenizer.encode("one two three")) / 3
    assert tokenizer.fertility(" ") == Fertility().tokens_a_word == 0


def test_published_files_are_known_by_how_they_cut_texts(tokenizer: Tokenizer) -> None:
    """As Qwen3's and SmolLM2's own `tokenizer.json` write it."""
    assert tokenizer.pre_tokenizer == "qwen2"
    document = json.loads(tokenizer.to_json())
    split, spell = document["pre_tokenizer"]["pretokenizers"]
    split["pattern"]["Regex"] = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    assert Tokenizer(document).pre_tokenizer == "qwen2"
    document["pre_tokenizer"]["pretokenizers"] = [
        {"type": "Digits", "individual_digits": True},
        spell | {"trim_offsets": True, "use_regex": True},
    ]
    assert Tokenizer(document).pre_tokenizer == "smollm"
    document["pre_tokenizer"]["pretokenizers"][0]["individual_digits"] = False
    assert Tokenizer(document).pre_tokenizer is None


def test_merges_are_read_in_either_spelling(tokenizer: Tokenizer) -> None:
    document = json.loads(tokenizer.to_json())
    document["model"]["merges"] = [" ".join(pair) for pair in document["model"]["merges"]]
    old = Tokenizer(document)
    assert old.merges == tokenizer.merges
    assert old.encode_batch(hard_texts()) == tokenizer.encode_batch(hard_texts())
