from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("tokenizers", reason="needs the extra `train`")

from token_corpora import LETTERS, TOKENIZER, build, write_curated

from madang.corpus.batches import IGNORED, Batches
from madang.corpus.corpus import Corpus
from madang.corpus.lineage import posts_of_step, steps_of_post
from madang.corpus.packing import tokenize

LENGTHS = st.lists(st.lists(st.integers(1, 30), min_size=1, max_size=4), min_size=1, max_size=8)
SHAPE = st.tuples(st.integers(2, 12), st.integers(1, 4))


def lettered(lengths: list[list[int]], letters: list[str], name: str) -> dict[str, list[str]]:
    """Each post is a letter of its own over and over, so that a token tells its post."""
    left = iter(letters)
    return {
        f"{name}{number}": [next(left) * count for count in counts]
        for number, counts in enumerate(lengths)
    }


def posts_by_token(*pools: dict[str, list[str]]) -> dict[int, str]:
    return {
        TOKENIZER.encode(text[0])[0]: f"{key}/{number}"
        for documents in pools
        for key, texts in documents.items()
        for number, text in enumerate(texts)
    }


@settings(max_examples=25, deadline=None)
@given(LENGTHS, LENGTHS, SHAPE, st.sampled_from([0.0, 0.3]))
def test_a_step_sees_the_posts_whose_tokens_it_reads_or_learns(
    lengths: list[list[int]], replayed: list[list[int]], shape: tuple[int, int], share: float
) -> None:
    documents = lettered(lengths, LETTERS[:100], "d")
    general = lettered(replayed, LETTERS[100:], "g")
    owner = posts_by_token(documents, general)
    with tempfile.TemporaryDirectory() as folder:
        replay = build(Path(folder) / "g", general) if share else None
        batches = Batches(
            build(Path(folder) / "d", documents),
            seed=4,
            sequence_length=shape[0],
            rows=shape[1],
            replay=replay,
            replay_share=share,
        )
        steps = 12
        seen_by: dict[str, list[int]] = {post: [] for post in owner.values()}
        for step in range(steps):
            batch = batches.batch(step)
            parts = posts_of_step(batches, step)
            ids = set(batch.tokens.flat) | set(batch.targets.flat)
            found = {part.post for part in parts}
            certain = {owner[number] for number in ids if number in owner}
            assert certain <= found
            for part in parts:
                corpus = batches.replay if part.replay else batches.corpus
                assert corpus is not None
                place = corpus.find_post(part.post)
                assert place is not None
                index, span = place
                assert corpus.document(index).key == part.document
                assert span.start <= part.start < part.end <= span.end
                tokens = corpus.tokens_of(index)[part.start : part.end]
                row = np.append(batch.tokens[part.row], batch.targets[part.row, -1])
                assert np.array_equal(row[part.column : part.column + len(tokens)], tokens)
                if part.post not in certain:
                    # Only its mark, or the end of the document, lies in this batch.
                    assert set(tokens.tolist()) <= {TOKENIZER.post, TOKENIZER.end_of_text}
            # Nothing is missing: the parts hold every token, and every target that begins a row.
            assert sum(part.end - part.start for part in parts) == batch.tokens.size + sum(
                row[-1] != IGNORED for row in batch.targets
            )
            for post in found:
                seen_by[post].append(step)
        for post, seen in seen_by.items():
            assert steps_of_post(batches, post, steps) == seen
            assert steps_of_post(batches, post, 5) == [step for step in seen if step < 5]


def test_posts_that_are_never_trained_on_have_no_steps(tmp_path: Path) -> None:
    corpus = build(tmp_path, {"a": ["가"], "b": ["나"]}, future=["b"])
    batches = Batches(corpus, seed=0, sequence_length=2, rows=1)
    assert steps_of_post(batches, "a/0", 4) == [0, 1, 2, 3]
    assert steps_of_post(batches, "a/0", 0) == []
    assert steps_of_post(batches, "b/0", 100) == []
    assert steps_of_post(batches, "unknown", 100) == []


def test_a_token_that_is_only_predicted_is_seen_too(tmp_path: Path) -> None:
    """`<|post|>` 가 나 | 다 `<|endoftext|>`: 다 is learnt in step 0 and read in step 1."""
    letters = "".join(LETTERS[:3])
    corpus = build(tmp_path, {"a": [letters]})
    batches = Batches(corpus, seed=0, sequence_length=3, rows=1)
    [part] = posts_of_step(batches, 0)
    assert (part.start, part.end, part.column) == (0, 4, 0)
    two = build(tmp_path, {"a": [LETTERS[0] * 2, LETTERS[1]]})
    batches = Batches(two, seed=0, sequence_length=3, rows=1)
    first, second = posts_of_step(batches, 0)
    assert (first.post, first.start, first.end, first.column) == ("a/0", 0, 3, 0)
    assert (second.post, second.start, second.end, second.column) == ("a/1", 3, 4, 3)
    assert steps_of_post(batches, "a/1", 2) == [0, 1]


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """100,000 documents of one short post."""
    count = 100_000
    folder = write_curated(tmp_path_factory.mktemp("many"), {"d": [LETTERS[0]]})
    path = folder / "documents.parquet"
    row = pq.read_table(path)
    texts = [[f"{number} {LETTERS[number % 300]}"] for number in range(count)]
    columns = {
        "document": pa.array([f"d{number}" for number in range(count)]),
        "posts": pa.array([[f"p{number}"] for number in range(count)]),
        "texts": pa.array(texts),
    }
    rest = {
        name: pa.array(row[name].to_pylist() * count, row[name].type) for name in row.schema.names
    }
    pq.write_table(pa.table(rest | columns), path)
    return tokenize(folder, TOKENIZER)


def test_questions_about_a_large_corpus_are_answered_soon(many: Corpus) -> None:
    batches = Batches(many, seed=1, sequence_length=512, rows=8)
    batches.batch(0)
    begun = time.perf_counter()
    for step in range(1, 51):
        batches.batch(step)
    assert time.perf_counter() - begun < 5, "a batch takes about a millisecond"
    begun = time.perf_counter()
    parts = posts_of_step(batches, 40)
    steps = steps_of_post(batches, parts[3].post, 3 * batches.steps_an_epoch)
    assert 40 in steps
    assert len(steps) in (3, 4, 5, 6)
    assert time.perf_counter() - begun < 20, "three epochs take about a second"
