from __future__ import annotations

import hashlib
import itertools
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("tokenizers", reason="needs the extra `train`")
pytest.importorskip("pyarrow", reason="needs the extra `train`")

from token_corpora import LETTERS, TOKENIZER, Texts, build

from madang.corpus.batches import IGNORED, Batch, Batches
from madang.corpus.corpus import Corpus
from madang.text.tokenizer import encode_post_thread, train_tokenizer

# A document of one to three posts of up to forty letters; keys are what a log would give.
TEXTS = st.lists(st.text(st.sampled_from(LETTERS), min_size=1, max_size=40), min_size=1, max_size=3)
DOCUMENTS = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8),
    TEXTS,
    min_size=1,
    max_size=12,
)
SHAPE = st.tuples(st.integers(2, 24), st.integers(1, 4))
FEW = settings(max_examples=20, deadline=None)


def some_documents(count: int, seed: int = 0) -> dict[str, list[str]]:
    draw = np.random.default_rng(seed)
    return {
        f"{seed}:{number}": [
            "".join(draw.choice(LETTERS, size=draw.integers(1, 60)))
            for _ in range(draw.integers(1, 4))
        ]
        for number in range(count)
    }


def order(keys: Sequence[str], seed: int, epoch: int) -> list[str]:
    """The order, written down once more as plainly as it can be."""
    secret = hashlib.sha256(f"order of documents, seed {seed}, epoch {epoch}".encode()).digest()
    return sorted(
        keys, key=lambda one: hashlib.blake2b(one.encode(), key=secret, digest_size=16).digest()
    )


def stream(documents: Texts, seed: int) -> Iterator[tuple[int, int]]:
    """Yield each token of all epochs with its target."""
    for epoch in itertools.count():
        for key in order(list(documents), seed, epoch):
            ids, _ = encode_post_thread(TOKENIZER, documents[key])
            yield from zip(ids, [*ids[1:], IGNORED], strict=True)


def arrays_equal(one: Batch, other: Batch) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("tokens", "targets", "positions", "lengths", "row_bytes")
    )


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("batches")
    return build(folder, some_documents(200), future=["0:7"], shard_bytes=3000)


@FEW
@given(DOCUMENTS, SHAPE, st.integers(0, 3), st.integers(20, 2000))
def test_batches_are_the_stream_of_all_documents_cut_into_pieces(
    documents: Texts, shape: tuple[int, int], seed: int, shard_bytes: int
) -> None:
    length, rows = shape
    with tempfile.TemporaryDirectory() as folder:
        corpus = build(Path(folder), documents, shard_bytes=shard_bytes)
        batches = Batches(corpus, seed=seed, sequence_length=length, rows=rows)
        expected = stream(documents, seed)
        for step in range(6):
            batch = batches.batch(step)
            pairs = list(itertools.islice(expected, rows * length))
            assert batch.tokens.shape == batch.targets.shape == (rows, length)
            assert list(zip(batch.tokens.flat, batch.targets.flat, strict=True)) == pairs
            assert batch.trained == sum(target != IGNORED for _, target in pairs)
            check_segments(batch)


def check_segments(batch: Batch) -> None:
    """Segments fill the rows, cross none, begin with position 0, and end where documents do."""
    rows, length = batch.tokens.shape
    assert batch.lengths.dtype == np.int32
    assert batch.tokens.dtype == batch.targets.dtype == batch.positions.dtype == np.int64
    assert batch.lengths.min() > 0
    ends = np.cumsum(batch.lengths)
    assert ends[-1] == rows * length
    assert set(range(length, rows * length + 1, length)) <= set(ends.tolist())
    positions = np.concatenate([np.arange(size) for size in batch.lengths])
    assert np.array_equal(batch.positions.ravel(), positions)
    is_last = batch.targets.ravel() == IGNORED
    assert (batch.tokens.ravel()[is_last] == TOKENIZER.end_of_text).all()
    assert (is_last == (batch.tokens.ravel() == TOKENIZER.end_of_text)).all()
    assert set((np.flatnonzero(is_last) + 1).tolist()) <= set(ends.tolist())


@FEW
@given(DOCUMENTS, SHAPE, st.data())
def test_a_removed_document_changes_no_batch_before_its_place(
    documents: dict[str, list[str]], shape: tuple[int, int], data: st.DataObject
) -> None:
    if len(documents) < 2:
        return
    length, rows = shape
    gone = data.draw(st.sampled_from(sorted(documents)))
    rest = {key: texts for key, texts in documents.items() if key != gone}
    with tempfile.TemporaryDirectory() as folder:
        before = Batches(build(Path(folder), documents), seed=1, sequence_length=length, rows=rows)
        after = Batches(build(Path(folder), rest), seed=1, sequence_length=length, rows=rows)
        keys = order(list(documents), 1, 0)
        place = sum(
            len(encode_post_thread(TOKENIZER, documents[key])[0])
            for key in keys[: keys.index(gone)]
        )
        for step in range(place // (rows * length)):
            assert arrays_equal(before.batch(step), after.batch(step))
            assert [part.document for part in before.documents_of(step)] == [
                part.document for part in after.documents_of(step)
            ]


def test_every_token_is_seen_exactly_once_in_an_epoch(corpus: Corpus) -> None:
    batches = Batches(corpus, seed=5, sequence_length=64, rows=3)
    for epoch in range(2):
        seen: Counter[tuple[int, int]] = Counter()
        start = epoch * corpus.train_tokens
        for step in range(start // 192, -(-(start + corpus.train_tokens) // 192)):
            at = step * 192
            for part in batches.documents_of(step):
                for offset in range(part.start, part.end):
                    if start <= at < start + corpus.train_tokens:
                        seen[part.index, offset] += 1
                    at += 1
        assert seen == Counter(
            {
                (document.index, offset): 1
                for document in corpus.documents("train")
                for offset in range(document.tokens)
            }
        )
    assert batches.steps_an_epoch == -(-corpus.train_tokens // 192)


def test_the_parts_of_a_step_are_its_tokens(corpus: Corpus) -> None:
    batches = Batches(corpus, seed=2, sequence_length=50, rows=4)
    for step in (0, 3, batches.steps_an_epoch - 1, batches.steps_an_epoch):
        batch = batches.batch(step)
        parts = batches.documents_of(step)
        assert [part.end - part.start for part in parts] == batch.lengths.tolist()
        for part in parts:
            here = batch.tokens[part.row, part.column : part.column + part.end - part.start]
            tokens = corpus.tokens_of(part.index)
            assert np.array_equal(here, tokens[part.start : part.end])
            assert corpus.document(part.index).key == part.document
            assert not part.replay


def test_the_future_is_never_trained_on(corpus: Corpus) -> None:
    batches = Batches(corpus, seed=2, sequence_length=50, rows=4)
    steps = range(2 * batches.steps_an_epoch)
    seen = {part.document for step in steps for part in batches.documents_of(step)}
    assert seen == {one.key for one in corpus.documents("train")}


def test_the_order_in_which_posts_came_does_not_matter(corpus: Corpus, tmp_path: Path) -> None:
    documents = some_documents(200)
    other = build(tmp_path, dict(reversed(documents.items())), future=["0:7"])
    one, two = (Batches(each, seed=9, sequence_length=40, rows=2) for each in (corpus, other))
    for step in range(0, 2 * one.steps_an_epoch, 5):
        assert arrays_equal(one.batch(step), two.batch(step))


def test_a_batch_needs_nothing_but_its_step(corpus: Corpus) -> None:
    forth = Batches(corpus, seed=9, sequence_length=40, rows=2)
    steps = list(range(0, 8 * forth.steps_an_epoch, 37))
    expected = [forth.batch(step) for step in steps]
    back = Batches(corpus, seed=9, sequence_length=40, rows=2)
    for step, batch in zip(reversed(steps), reversed(expected), strict=True):
        assert arrays_equal(back.batch(step), batch)


def test_seeds_and_epochs_have_orders_of_their_own(corpus: Corpus) -> None:
    one, two = (Batches(corpus, seed=seed, sequence_length=40, rows=2) for seed in (1, 2))
    orders = [tuple(each.epoch(number).index) for each in (one, two) for number in (0, 1)]
    assert len(set(orders)) == 4
    assert {tuple(sorted(each)) for each in orders} == {tuple(corpus.indices("train"))}


def test_rows_are_what_ranks_share(corpus: Corpus) -> None:
    batch = Batches(corpus, seed=3, sequence_length=48, rows=6).batch(4)
    for ranks in (1, 2, 3, 6):
        size = 6 // ranks
        parts = [batch.rows(rank * size, (rank + 1) * size) for rank in range(ranks)]
        for part in parts:
            check_segments(part)
        for name in ("tokens", "targets", "positions", "lengths", "row_bytes"):
            joined = np.concatenate([getattr(part, name) for part in parts])
            assert np.array_equal(joined, getattr(batch, name)), name
        assert sum(part.trained for part in parts) == batch.trained
        assert sum(part.bytes for part in parts) == pytest.approx(batch.bytes)
    for start, stop in ((0, 7), (-1, 2), (3, 3)):
        with pytest.raises(ValueError, match="are not among the 6 of this batch"):
            batch.rows(start, stop)


def test_the_bytes_of_an_epoch_are_those_of_its_texts(corpus: Corpus) -> None:
    whole = Batches(corpus, seed=3, sequence_length=corpus.train_tokens, rows=2)
    assert whole.steps_an_epoch == 1
    assert whole.batch(0).row_bytes.tolist() == pytest.approx([corpus.train_bytes] * 2)
    pieces = Batches(corpus, seed=3, sequence_length=10, rows=2)
    total = sum(pieces.batch(step).bytes for step in range(pieces.steps_an_epoch))
    assert corpus.train_bytes <= total <= corpus.train_bytes * 1.01


def test_a_corpus_smaller_than_a_batch_comes_round(tmp_path: Path) -> None:
    documents = {"a": ["가나"], "b": ["다"]}
    batches = Batches(build(tmp_path, documents), seed=0, sequence_length=100, rows=2)
    batch = batches.batch(3)
    expected = list(itertools.islice(stream(documents, 0), 600, 800))
    assert list(zip(batch.tokens.flat, batch.targets.flat, strict=True)) == expected
    assert batches.steps_an_epoch == 1


REPLAYED = some_documents(30, seed=1)


@pytest.fixture(scope="module")
def general(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return build(tmp_path_factory.mktemp("general"), REPLAYED)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.8])
def test_replay_takes_its_share_at_any_time(corpus: Corpus, general: Corpus, share: float) -> None:
    batches = Batches(
        corpus, seed=1, sequence_length=64, rows=4, replay=general, replay_share=share
    )
    replayed = total = 0
    longest = int(max(corpus.token_counts.max(), general.token_counts.max()))
    for step in range(3 * batches.steps_an_epoch):
        batch = batches.batch(step)
        check_segments(batch)
        for part in batches.documents_of(step):
            size = part.end - part.start
            here = batch.tokens[part.row, part.column : part.column + size]
            source = general if part.replay else corpus
            assert np.array_equal(here, source.tokens_of(part.index)[part.start : part.end])
            assert source.document(part.index).key == part.document
            replayed += size * part.replay
            total += size
        assert abs(replayed - share * total) <= 2 * longest


def test_with_replay_an_epoch_is_still_every_document_once(corpus: Corpus, general: Corpus) -> None:
    batches = Batches(corpus, seed=1, sequence_length=8, rows=1, replay=general, replay_share=0.4)
    rounds: Counter[int] = Counter()
    for number in range(4):
        epoch = batches.epoch(number)
        own = epoch.index[~epoch.replay]
        assert (
            own.tolist()
            == Batches(corpus, seed=1, sequence_length=8, rows=1).epoch(number).index.tolist()
        )
        rounds.update(epoch.index[epoch.replay].tolist())
        assert epoch.start + epoch.tokens == batches.epoch(number + 1).start
        assert batches.epoch_at(epoch.start) == batches.epoch_at(epoch.start + 1) == number
    # What is replayed comes round evenly, over the borders of epochs too.
    assert len(rounds) == len(REPLAYED)
    assert max(rounds.values()) - min(rounds.values()) <= 1


@FEW
@given(DOCUMENTS, DOCUMENTS, SHAPE, st.floats(0.05, 0.9), st.data())
def test_a_removed_document_changes_no_batch_before_it_under_replay(
    documents: dict[str, list[str]],
    replayed: dict[str, list[str]],
    shape: tuple[int, int],
    share: float,
    data: st.DataObject,
) -> None:
    pools = {False: documents, True: replayed}
    is_replayed = data.draw(st.booleans())
    if len(pools[is_replayed]) < 2:
        return
    gone = data.draw(st.sampled_from(sorted(pools[is_replayed])))
    rest: Mapping[bool, Texts] = {
        kind: {k: v for k, v in texts.items() if kind != is_replayed or k != gone}
        for kind, texts in pools.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        before, after = (
            Batches(
                build(Path(folder) / "own", each[False]),
                seed=1,
                sequence_length=shape[0],
                rows=shape[1],
                replay=build(Path(folder) / "replayed", each[True]),
                replay_share=share,
            )
            for each in (pools, rest)
        )
        for step in range(40):
            parts = before.documents_of(step)
            if any(part.document == gone and part.replay == is_replayed for part in parts):
                break
            assert arrays_equal(before.batch(step), after.batch(step))


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"rows": 0}, "a batch of 0 rows of 8 tokens cannot be"),
        ({"sequence_length": 1}, "a batch of 2 rows of 1 tokens cannot be"),
        ({"replay_share": 0.2}, "without a corpus to replay"),
        ({"replay_share": 1.0}, "cannot be; give both"),
        ({"replay_share": -0.1}, "cannot be; give both"),
    ],
)
def test_what_makes_no_batch_is_one_sentence(
    corpus: Corpus, settings: dict[str, float], what: str
) -> None:
    with pytest.raises(ValueError, match=what):
        Batches(corpus, **{"seed": 1, "sequence_length": 8, "rows": 2, **settings})  # type: ignore[arg-type]


def test_what_cannot_be_mixed_is_one_sentence(
    corpus: Corpus, general: Corpus, tmp_path: Path
) -> None:
    other = build(tmp_path, {"a": ["b"]}, tokenizer=train_tokenizer(["text"], 262))
    shape = {"seed": 1, "sequence_length": 8, "rows": 2}
    with pytest.raises(ValueError, match="was made with another tokenizer"):
        Batches(corpus, **shape, replay=other, replay_share=0.1)
    with pytest.raises(ValueError, match="with a corpus to replay cannot be"):
        Batches(corpus, **shape, replay=general)
    with pytest.raises(ValueError, match="there is no step -1"):
        Batches(corpus, **shape).batch(-1)
    only_future = build(tmp_path / "future", {"a": ["b"]}, future=["a"])
    with pytest.raises(ValueError, match="holds no document to train on"):
        Batches(only_future, **shape)
