"""Duplicates: which texts count as the same, whatever the order, at a cost that stays linear."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from curating import sentence
from hypothesis import given
from hypothesis import strategies as st

from madang.corpus.near_duplicates import (
    Positions,
    comparable_texts,
    duplicate_clusters,
    signature_bands,
    similarity,
    text_hashes,
)
from madang.corpus.policy import Policy


def clusters(texts: Sequence[str], policy: Policy | None = None) -> tuple[Positions, Positions]:
    policy = policy or Policy()
    compared = comparable_texts(texts)
    bands = signature_bands(compared, policy)

    def similar(ones: Positions, others: Positions) -> np.ndarray:
        batch = pa.RecordBatch.from_pydict(
            {"a": [texts[one] for one in ones], "b": [texts[one] for one in others]}
        )
        values = similarity(batch, policy.shingle).column("similarity").to_numpy()
        return values >= policy.similarity

    return duplicate_clusters(
        text_hashes(compared),
        np.array([len(one) for one in compared], dtype=np.int32),
        np.ones(len(texts), dtype=np.bool_),
        lambda number: bands[:, number],
        similar,
        policy,
    )


def groups(texts: Sequence[str]) -> set[frozenset[str]]:
    _, cluster = clusters(texts)
    return {
        frozenset(texts[n] for n in np.flatnonzero(cluster == root)) for root in np.unique(cluster)
    }


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The ferry leaves at 7", "the FERRY leaves at 7!!"),
        ("배가 떠나요ㅋㅋㅋㅋㅋㅋ", "배가  떠나요ㅋㅋㅋ"),
        ("@mina Please DM us", "@jun please dm us https://t.co/abc"),
        ("ｆｅｒｒｙ", "ferry"),
        ("!?", "!? "),
        ("네", "네!"),
    ],
)
def test_texts_that_count_as_equal(one: str, other: str) -> None:
    exact, _ = clusters([one, other])
    assert exact.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("one", "other"),
    [("7시에 떠나요", "8시에 떠나요"), ("yes", "no"), ("!", "?"), ("🎉", "😂"), ("1000", "100")],
)
def test_short_texts_that_differ(one: str, other: str) -> None:
    assert clusters([one, other])[1].tolist() == [0, 1]


def test_a_long_text_with_a_word_changed_is_a_near_duplicate() -> None:
    text = sentence(1, 60)
    exact, cluster = clusters([text, text.replace(text.split()[30], "changed"), sentence(2, 60)])
    assert exact.tolist() == [0, 1, 2]
    assert len(set(cluster.tolist())) == 2
    assert cluster[0] == cluster[1]


def test_a_number_tells_short_texts_apart_but_not_long_ones() -> None:
    short = "Dad against the machine, a story in parts: episode {}"
    long = sentence(3, 60) + " in the week of {}"
    assert len(groups([short.format(1), short.format(2)])) == 2
    assert len(groups([short.format(1), short.format(1) + " now"])) == 1
    assert len(groups([long.format(1), long.format(2)])) == 1


def test_many_texts_are_compared_as_each_alone() -> None:
    texts = ["가나다", "", "a@b @c", "ㅋㅋㅋㅋ", "Ａ B", "x\ny", "https://a.b/c", "é", "👍👍👍"]
    assert comparable_texts(texts) == [comparable_texts([one])[0] for one in texts]


@given(st.lists(st.text(st.characters(blacklist_characters="\x00", blacklist_categories=["Cs"]))))
def test_comparing_in_batches_changes_nothing(texts: list[str]) -> None:
    together = comparable_texts(texts) if texts else []
    assert together == [comparable_texts([one])[0] for one in texts]
    if texts:
        apart = [signature_bands(comparable_texts([one]), Policy())[0] for one in texts]
        assert np.array_equal(signature_bands(together, Policy()), np.array(apart))


def _community(rng: random.Random) -> list[str]:
    texts = []
    for number in range(30):
        text = sentence(number, rng.randint(1, 40))
        texts.append(text)
        for _ in range(rng.randint(0, 3)):
            words = text.split()
            words[rng.randrange(len(words))] = f"x{rng.randint(0, 3)}"
            texts.append(" ".join(words))
        texts += [text] * rng.randint(0, 2)
    return texts


@pytest.mark.parametrize("seed", range(5))
def test_clusters_depend_on_the_texts_alone(seed: int) -> None:
    rng = random.Random(seed)
    texts = _community(rng)
    found = groups(texts)
    rng.shuffle(texts)
    assert groups(texts) == found


@pytest.mark.parametrize("seed", range(5))
def test_what_is_alike_is_found_and_what_is_not_is_left(seed: int) -> None:
    texts = _community(random.Random(seed))
    exact, cluster = clusters(texts)
    compared = comparable_texts(texts)
    policy = Policy()

    def jaccard(one: int, other: int) -> float:
        one_text, other_text = compared[one], compared[other]
        if min(len(one_text), len(other_text)) < 200 and (
            re.findall(r"\d+", one_text) != re.findall(r"\d+", other_text)
        ):
            return 0.0
        a, b = ({t[i : i + 5] for i in range(max(1, len(t) - 4))} for t in
                (compared[one], compared[other]))  # fmt: skip
        return len(a & b) / len(a | b)

    for one in range(len(texts)):
        for other in range(one):
            assert (exact[one] == exact[other]) == (compared[one] == compared[other])
            # Banding finds a pair at 0.9 in all but one of 10^6 cases.
            if jaccard(one, other) >= 0.9:
                assert cluster[one] == cluster[other]
    for root in np.unique(cluster):
        members = np.flatnonzero(cluster == root).tolist()
        linked = {members[0]}
        while grown := {
            m for m in members if m not in linked
            and any(jaccard(m, o) >= policy.similarity for o in linked)
        }:  # fmt: skip
            linked |= grown
        assert linked == set(members)


def test_near_copies_without_end_take_linear_time() -> None:
    base = sentence(1, 60)
    texts = [f"{base} {number}" for number in range(3000)]
    started = time.process_time()
    _, cluster = clusters(texts)
    assert len(set(cluster.tolist())) == 1
    assert time.process_time() - started < 20


def test_a_text_of_megabytes() -> None:
    text = sentence(5, 10_000) * 20
    started = time.process_time()
    exact, _ = clusters([text, text + " more"])
    assert exact.tolist() == [0, 1]
    assert time.process_time() - started < 30
