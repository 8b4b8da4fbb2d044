from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tokenizers", reason="needs the extra `train`")
pytest.importorskip("pyarrow", reason="needs the extra `train`")

from token_corpora import TOKENIZER, build, write_curated

from madang.corpus.batches import Batches
from madang.corpus.corpus import Corpus
from madang.corpus.packing import Beginning, tokenize, training_texts
from madang.corpus.purge import BUILDING
from madang.corpus.shards import ShardWriter, open_shard, token_type
from madang.text.hard_texts import HARD_TEXTS
from madang.text.tokenizer import Tokenizer, encode_post_thread, train_tokenizer

DOCUMENTS = {f"thread:{n}": HARD_TEXTS[n : n + 1 + n % 4] for n in range(len(HARD_TEXTS))}
FUTURE = ("thread:3", "thread:20")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return build(tmp_path_factory.mktemp("corpus"), DOCUMENTS, future=FUTURE)


def test_every_document_is_there_token_by_token(corpus: Corpus) -> None:
    assert len(corpus) == len(DOCUMENTS)
    for document in corpus.documents():
        ids, offsets = encode_post_thread(TOKENIZER, DOCUMENTS[document.key])
        assert corpus.tokens_of(document.index).tolist() == ids
        assert document.tokens == len(ids)
        assert document.bytes == sum(len(text.encode()) for text in DOCUMENTS[document.key])
        assert document.depth == len(DOCUMENTS[document.key])
        assert document.language == "ko"
        spans = corpus.posts_of(document.index)
        assert [span.post for span in spans] == [
            f"{document.key}/{n}" for n in range(len(DOCUMENTS[document.key]))
        ]
        assert [span.start for span in spans] == offsets[:-1]
        assert [span.end for span in spans] == offsets[1:]


def test_splits_and_counts(corpus: Corpus) -> None:
    assert [one.key for one in corpus.documents("future")] == list(FUTURE)
    train = list(corpus.documents("train"))
    assert len(train) == len(DOCUMENTS) - 2
    assert corpus.train_tokens == sum(one.tokens for one in train)
    assert corpus.train_bytes == sum(one.bytes for one in train)
    assert corpus.future_tokens == sum(one.tokens for one in corpus.documents("future"))
    assert corpus.counts["train"]["documents"] == len(train)
    with pytest.raises(ValueError, match="'test' is no split"):
        list(corpus.documents("test"))


def test_a_post_is_found_by_its_id(corpus: Corpus) -> None:
    for document in corpus.documents():
        for span in corpus.posts_of(document.index):
            assert corpus.find_post(span.post) == (document.index, span)
    assert corpus.find_post("nobody's") is None


def test_gathering_takes_single_tokens(corpus: Corpus) -> None:
    documents = np.array([5, 0, 5, 7])
    offsets = np.array([1, 0, 0, 2])
    expected = [corpus.tokens_of(d)[o] for d, o in zip(documents, offsets, strict=True)]
    assert corpus.gather(documents, offsets).tolist() == expected


def test_shards_are_bounded_and_hold_the_same(corpus: Corpus, tmp_path: Path) -> None:
    small = build(tmp_path, DOCUMENTS, future=FUTURE, shard_bytes=400)
    shards = json.loads((small.folder / "manifest.json").read_text())["shards"]
    assert len(shards) > 3
    for shard in shards:
        whole = small.folder / shard["file"]
        assert whole.stat().st_size == 2 * shard["tokens"]
        assert shard["tokens"] <= 200 or shard["tokens"] in small.token_counts
    for document in corpus.documents():
        assert (small.tokens_of(document.index) == corpus.tokens_of(document.index)).all()
    everything = np.arange(len(small))
    assert (small.gather(everything, 0 * everything) == TOKENIZER.post).all()
    assert small.fingerprint == corpus.fingerprint


def test_the_same_documents_give_the_same_bytes(corpus: Corpus, tmp_path: Path) -> None:
    again = tokenize(write_curated(tmp_path, DOCUMENTS, future=FUTURE), TOKENIZER, workers=1)
    names = {path.name for path in corpus.folder.iterdir()}
    assert names == {path.name for path in again.folder.iterdir()}
    assert {"tokens-00000.bin", "index.parquet", "tokenizer.json", "manifest.json"} < names
    for name in names:
        assert (corpus.folder / name).read_bytes() == (again.folder / name).read_bytes(), name
    assert Tokenizer.load(again.folder).digest == TOKENIZER.digest == again.tokenizer.digest


def test_what_is_there_is_not_written_again(corpus: Corpus) -> None:
    before = (corpus.folder / "index.parquet").stat().st_mtime_ns
    again = tokenize(corpus.folder.parent, TOKENIZER)
    assert again.folder == corpus.folder
    assert (corpus.folder / "index.parquet").stat().st_mtime_ns == before
    other = tokenize(corpus.folder.parent, train_tokenizer(HARD_TEXTS, 300))
    assert other.folder != corpus.folder
    assert other.fingerprint != corpus.fingerprint


def test_other_documents_have_another_fingerprint(corpus: Corpus, tmp_path: Path) -> None:
    assert build(tmp_path, {**DOCUMENTS, "more": ["x"]}).fingerprint != corpus.fingerprint


def test_the_beginning_of_a_corpus_has_its_first_batches(tmp_path: Path) -> None:
    documents = {f"d{n}": [f"가나다 {n}", "x" * (n % 7)][: 1 + n % 2] for n in range(400)}
    future = [f"d{n}" for n in range(0, 400, 40)]
    curated = write_curated(tmp_path, documents, future=future)
    whole = tokenize(curated, TOKENIZER)
    part = tokenize(curated, TOKENIZER, beginning=Beginning(0.25, 3))
    other = tokenize(curated, TOKENIZER, beginning=Beginning(0.25, 4))
    assert len({whole.fingerprint, part.fingerprint, other.fingerprint}) == 3
    assert 50 < part.counts["train"]["documents"] < 150
    assert part.counts["future"] == whole.counts["future"]
    assert set(part.keys()) < set(whole.keys())
    all_batches, batches = (
        Batches(one, seed=3, sequence_length=16, rows=2) for one in (whole, part)
    )
    steps = part.train_tokens // 32
    assert steps > 20
    for step in range(steps):
        one, same = all_batches.batch(step), batches.batch(step)
        for name in ("tokens", "targets", "positions", "lengths", "row_bytes"):
            assert np.array_equal(getattr(one, name), getattr(same, name)), (step, name)
    assert tokenize(curated, TOKENIZER, beginning=Beginning(0.25, 3)).folder == part.folder


def test_whether_a_document_is_in_the_beginning_depends_on_no_other(tmp_path: Path) -> None:
    documents = {f"d{n}": [f"{n}"] for n in range(60)}
    beginning = Beginning(0.5, 0)
    whole = tokenize(write_curated(tmp_path, documents), TOKENIZER, beginning=beginning)
    gone, *others = whole.keys()
    del documents[gone]
    rest = tokenize(write_curated(tmp_path, documents), TOKENIZER, beginning=beginning)
    assert rest.keys() == others


def test_large_vocabularies_take_four_bytes(tmp_path: Path) -> None:
    assert token_type(65_536).itemsize == 2
    assert token_type(65_537).itemsize == 4
    writer = ShardWriter(tmp_path, 70_000, 1 << 20)
    assert writer.write([69_999, 1]) == (0, 0)
    assert writer.write([2]) == (0, 2)
    [shard] = writer.close()
    tokens = open_shard(tmp_path / shard.file, shard.tokens, 70_000)
    assert tokens.tolist() == [69_999, 1, 2]


def test_texts_for_the_vocabulary_leave_the_future_out(corpus: Corpus) -> None:
    texts = list(training_texts(corpus.folder.parent))
    assert texts == [
        ("ko", text) for key, some in DOCUMENTS.items() if key not in FUTURE for text in some
    ]


def test_an_interrupted_run_leaves_nothing(tmp_path: Path) -> None:
    curated = write_curated(tmp_path, {f"d{n}": ["text"] for n in range(3000)})

    def interrupt(done: int, of: int) -> None:
        assert of == 3000
        if done > 1024:
            raise KeyboardInterrupt

    before = sorted(curated.iterdir())
    with pytest.raises(KeyboardInterrupt):
        tokenize(curated, TOKENIZER, progress=interrupt)
    assert sorted(curated.iterdir()) == before


def test_what_a_killed_process_left_goes(tmp_path: Path) -> None:
    curated = write_curated(tmp_path, DOCUMENTS)
    code = (
        "import os, sys; sys.path.insert(0, sys.argv[1]);"
        "from pathlib import Path; from token_corpora import TOKENIZER;"
        "from madang.corpus.packing import tokenize;"
        "tokenize(Path(sys.argv[2]), TOKENIZER, progress=lambda *_: os.kill(os.getpid(), 9))"
    )
    here = str(Path(__file__).parent)
    assert subprocess.run([sys.executable, "-c", code, here, str(curated)]).returncode == -9
    assert list(curated.glob(f"{BUILDING}*"))
    corpus = tokenize(curated, TOKENIZER)
    assert len(corpus) == len(DOCUMENTS)
    assert not list(curated.glob(f"{BUILDING}*"))


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    curated = write_curated(tmp_path, {"d": ["가나다 " * 100_000]})
    code = (
        "import resource, signal, sys; sys.path.insert(0, sys.argv[1]);"
        "from pathlib import Path; from token_corpora import TOKENIZER;"
        "from madang.corpus.packing import tokenize;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try: tokenize(Path(sys.argv[2]), TOKENIZER)\n"
        "except OSError as error: print(error)"
    )
    here = str(Path(__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", code, here, str(curated)], capture_output=True, text=True, check=True
    )
    assert "cannot be written (File too large" in done.stdout
    assert done.stdout.count("\n") == 1
    assert {path.name for path in curated.iterdir()} == {"documents.parquet", "manifest.json"}


def test_a_folder_that_is_purged_meanwhile_is_one_sentence(tmp_path: Path) -> None:
    curated = write_curated(tmp_path, DOCUMENTS)
    with pytest.raises(ValueError, match="was removed while its tokens were written"):
        tokenize(curated, TOKENIZER, progress=lambda *_: shutil.rmtree(curated))
    assert not curated.exists()


@pytest.mark.parametrize("name", ["tokens-00000.bin", "index.parquet", "manifest.json"])
def test_a_damaged_corpus_says_so(corpus: Corpus, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(corpus.folder, folder)
    size = (folder / name).stat().st_size
    os.truncate(folder / name, size // 2)
    with pytest.raises(ValueError, match="it is built anew"):
        Corpus.open(folder)


def test_a_damaged_corpus_is_built_anew(tmp_path: Path) -> None:
    curated = write_curated(tmp_path, DOCUMENTS)
    corpus = tokenize(curated, TOKENIZER)
    tokens = (corpus.folder / "tokens-00000.bin").read_bytes()
    os.truncate(corpus.folder / "tokens-00000.bin", 10)
    again = tokenize(curated, TOKENIZER)
    assert (again.folder / "tokens-00000.bin").read_bytes() == tokens
    assert len(list(curated.iterdir())) == 3


def test_a_changed_token_is_found(corpus: Corpus, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(corpus.folder, folder)
    copy = Corpus.open(folder)
    copy.verify()
    with (folder / "tokens-00000.bin").open("r+b") as file:
        file.write(b"\x63")
    with pytest.raises(ValueError, match=r"tokens-00000\.bin is damaged"):
        copy.verify()


def test_what_is_no_corpus_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no corpus; tokenize"):
        Corpus.open(tmp_path)
    with pytest.raises(ValueError, match="holds no curated documents"):
        tokenize(tmp_path, TOKENIZER)
    with pytest.raises(ValueError, match="holds no documents; bring posts"):
        build(tmp_path, {})


def test_a_document_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    curated = write_curated(tmp_path, {"a": ["x"], "b": ["y"]})
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = curated / "documents.parquet"
    rows = pq.read_table(path)
    pq.write_table(pa.concat_tables([rows, rows]), path)
    with pytest.raises(ValueError, match="the document a is there twice"):
        tokenize(curated, TOKENIZER)
    assert not list(curated.glob("tokens-*"))


def test_a_post_of_megabytes_and_one_emoji(tmp_path: Path) -> None:
    long = "".join(random.Random(1).choices("가나다 abc\n", k=700_000))
    corpus = build(tmp_path, {"long": [long], "emoji": ["😀"]}, shard_bytes=1 << 16)
    long_ids, emoji_ids = (corpus.tokens_of(index).tolist() for index in range(2))
    assert TOKENIZER.decode(long_ids) == f"<|post|>{long}<|endoftext|>"
    assert TOKENIZER.decode(emoji_ids) == "<|post|>😀<|endoftext|>"
