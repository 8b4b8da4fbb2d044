"""Functions on batches: in order, over processes, with errors that say what happened."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest

from madang.corpus.near_duplicates import similarity
from madang.corpus.parallel import WorkerEndedError, Workers


def pairs(count: int) -> Iterator[pa.RecordBatch]:
    for n in range(count):
        yield pa.RecordBatch.from_pydict({"a": ["abcdefgh"] * n, "b": ["abcdefgh"] * n})


def test_results_come_in_order_from_any_number_of_workers() -> None:
    with Workers(3) as workers:
        for _ in range(2):
            results = workers.map(partial(similarity, shingle=5), pairs(40))
            assert [len(one) for one in results] == list(range(40))


def test_batches_are_not_read_ahead_without_end() -> None:
    read: list[int] = []

    def counted() -> Iterator[pa.RecordBatch]:
        for n, batch in enumerate(pairs(100)):
            read.append(n)
            yield batch

    with Workers(2) as workers:
        results = workers.map(partial(similarity, shingle=5), counted())
        next(results)
        assert len(read) < 10
        results.close()


def test_an_error_in_a_worker_is_raised_here() -> None:
    with Workers(2) as workers, pytest.raises(KeyError):
        list(
            workers.map(
                partial(similarity, shingle=5), [pa.RecordBatch.from_pydict({"x": [1]})] * 4
            )
        )


def test_a_worker_that_is_killed_is_said() -> None:
    with Workers(2) as workers:
        results = workers.map(partial(similarity, shingle=5), pairs(100))
        next(results)
        for worker in workers._all:
            worker._process.kill()
        with pytest.raises(WorkerEndedError, match="status -9"):
            list(results)


def test_no_worker_is_no_number() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Workers(-1)


def test_a_script_without_a_guard_may_curate(tmp_path: Path) -> None:
    script = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from curating import post, sentence, written
from madang.corpus import curate
folder = Path({str(tmp_path)!r})
log = written(folder, [post(f"{{n}}", sentence(n)) for n in range(5000)])
print(curate(log, folder / "corpus", workers=2).counts["kept"])
"""
    done = subprocess.run(
        [sys.executable, "-"], input=script, capture_output=True, text=True, check=True
    )
    assert done.stdout == "5000\n"
