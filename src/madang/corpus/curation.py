"""Curation: from the log to documents that may be trained on, with a reason for every post."""

from __future__ import annotations

import errno
import os
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

from madang.corpus.boilerplate import posts_with_lines, repeated_lines, without_lines
from madang.corpus.curated import Curated
from madang.corpus.decision import Reason
from madang.corpus.examine import examine, examined_schema
from madang.corpus.hashing import short_hash
from madang.corpus.layout import NOT_FOR_TRAINING, Columns, choose_copies, lay_out
from madang.corpus.near_duplicates import Positions, duplicate_clusters, similarity
from madang.corpus.parallel import MapBatches, Workers
from madang.corpus.policy import Policy
from madang.corpus.purge import BUILDING, POSTS_FILE, remove, remove_abandoned
from madang.corpus.snapshot import Leaves, fingerprint, read_posts
from madang.corpus.spill import Spill, SpillWriter
from madang.corpus.writing import write_decisions, write_documents
from madang.posts import PostLog

EngineName = Literal["local", "ray"]
Progress = Callable[[str, int, int], None]
"""Told what is done (`reading`, `comparing`, `writing`), how much of it, and of how much."""

ATTEMPTS: Final = 5
PAIRS_A_BATCH: Final = 512
_DEFAULT: Final = Policy()


class NothingToTrainError(ValueError):
    """No post of the log can be trained on; the message says why and what to do."""


class PostsWithdrawnError(RuntimeError):
    """Posts were erased or refused during every attempt."""


class _Withdrawn(Exception):  # noqa: N818 - never leaves this file
    """A post that was read has been erased or refused since."""


def curate(
    log: PostLog,
    folder: Path,
    *,
    policy: Policy = _DEFAULT,
    workers: int | None = None,
    engine: EngineName = "local",
    progress: Progress | None = None,
) -> Curated:
    """Curate the posts of a log into `folder/<fingerprint>/`, or open what stands there already.

    The folder appears whole or not at all. It depends on the posts and the policy alone, not on
    `workers` or `engine`. Posts are streamed: less than 200 bytes are held of each, and their texts
    stand in a temporary file beside the result. Where posts are erased or refused meanwhile, it
    begins anew. Raises NothingToTrainError, PostsWithdrawnError, and OSError where the disk is
    full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    remove_abandoned(folder)
    if any(folder.glob("*/manifest.json")):
        existing = folder / fingerprint(log, policy)
        if existing.exists():
            return Curated.open(existing)
    with _engine(engine, workers) as map_over:
        for _ in range(ATTEMPTS):
            building = folder / f"{BUILDING}{os.getpid()}-{secrets.token_hex(4)}"
            building.mkdir()
            try:
                return _publish(log, folder, building, policy, map_over, progress)
            except _Withdrawn:
                continue
            except FileNotFoundError:
                # An erasure took the folder away from under us.
                if building.exists():
                    raise
            except OSError as error:
                raise _explained(error, folder) from error
            finally:
                remove(building)
    raise PostsWithdrawnError(
        f"posts were erased or refused during each of {ATTEMPTS} attempts to curate {log.path}; "
        "try again when it is quieter"
    )


@contextmanager
def _engine(name: EngineName, workers: int | None) -> Iterator[MapBatches]:
    if name == "local":
        with Workers(workers) as local:
            yield local.map
    elif name == "ray":
        from madang.corpus.ray_engine import ray_map

        with ray_map(workers) as map_over:
            yield map_over
    else:
        raise ValueError(f"{name!r} is no engine; the engines are local and ray")


def _explained(error: OSError, folder: Path) -> OSError:
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return error
    return OSError(
        error.errno,
        "the disk is full; curating needs about twice the posts' size: free some and try again",
        str(folder),
    )


def _publish(
    log: PostLog,
    folder: Path,
    building: Path,
    policy: Policy,
    map_over: MapBatches,
    progress: Progress | None,
) -> Curated:
    """Build, look whether every post may still be used, put in place, and look again."""
    seq = log.last_seq
    name, newest = _build(log, building, policy, map_over, progress or _silent)
    _check_allowed(log, seq, newest, building)
    final = folder / name
    try:
        building.rename(final)
    except OSError as error:
        # Another process made the same corpus meanwhile.
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
    try:
        _check_allowed(log, seq, newest, final)
    except _Withdrawn:
        remove(final)
        raise
    return Curated.open(final)


def _build(
    log: PostLog, folder: Path, policy: Policy, map_over: MapBatches, progress: Progress
) -> tuple[str, int]:
    """Write a corpus into `folder`; return its fingerprint and the key of its newest post."""
    leaves = Leaves()
    spilled = folder / "examined.arrow"
    total = log.counts()[0]
    with (
        SpillWriter(spilled, examined_schema(policy)) as writer,
        (folder / POSTS_FILE).open("wb", buffering=0) as posts,
    ):
        done = newest = 0
        for batch in map_over(partial(examine, policy=policy), read_posts(log, leaves)):
            # Before its texts: from here on an erasure finds them.
            posts.write(_used(batch).tobytes())
            writer.append(batch)
            newest = batch.column("key")[-1].as_py()
            done += len(batch)
            progress("reading", done, max(total, done))
    if not leaves:
        raise NothingToTrainError(f"{log.path} holds no posts yet; import some first")
    spill = Spill(spilled)
    try:
        columns = Columns(
            id_hash=spill.numbers("id_hash"),
            parent_hash=spill.numbers("parent_hash"),
            thread_hash=spill.numbers("thread_hash"),
            time=spill.numbers("time"),
            reasons=spill.numbers("reasons").copy(),
        )
        lengths = spill.numbers("length")
        stays = _refuse_duplicates(spill, columns, lengths, policy, map_over, progress)
        boilerplate = _refuse_boilerplate(spill, columns, policy)
        layout = lay_out(columns, policy.future_share)
        if not len(layout.posts):
            raise NothingToTrainError(_why_nothing(log.path, columns))
        progress("writing", 0, 1)
        counts = write_documents(
            folder / "documents.parquet", spill, columns, layout, lengths, boilerplate
        )
        counts += write_decisions(folder / "decisions.parquet", spill, columns, stays)
        used = np.sort(columns.id_hash[columns.used])
        (folder / POSTS_FILE).write_bytes(used.astype("<u8").tobytes())
    finally:
        spill.close()
        spilled.unlink(missing_ok=True)
    name = leaves.fingerprint(policy)
    manifest = {
        "fingerprint": name,
        "policy": policy.to_dict(),
        "counts": {
            "posts": len(leaves),
            "kept": len(layout.posts),
            "documents": len(layout.starts),
            **_grouped(counts),
        },
        "cut_off": layout.cut_off,
    }
    (folder / "manifest.json").write_bytes(
        orjson.dumps(manifest, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2)
    )
    _flush(folder)
    progress("writing", 1, 1)
    return name, newest


def _used(batch: pa.RecordBatch) -> npt.NDArray[np.uint64]:
    """Return the hashes of those posts of a batch that were looked at."""
    used = (batch.column("reasons").to_numpy() & NOT_FOR_TRAINING) == 0
    return np.asarray(batch.column("id_hash").to_numpy()[used], dtype="<u8")


def _refuse_duplicates(
    spill: Spill,
    columns: Columns,
    lengths: npt.NDArray[np.int32],
    policy: Policy,
    map_over: MapBatches,
    progress: Progress,
) -> Positions:
    def similar(ones: Positions, others: Positions) -> npt.NDArray[np.bool_]:
        batches = map_over(partial(similarity, shingle=policy.shingle), _pairs(spill, ones, others))
        values = np.concatenate([batch.column("similarity").to_numpy() for batch in batches])
        return np.asarray(values >= policy.similarity, dtype=np.bool_)

    def band(number: int) -> npt.NDArray[np.uint64]:
        progress("comparing", number, policy.bands)
        return spill.numbers(f"band_{number}")

    exact, cluster = duplicate_clusters(
        spill.numbers("text_hash"), lengths, columns.kept, band, similar, policy
    )
    progress("comparing", policy.bands, policy.bands)
    return choose_copies(columns, exact, cluster)


def _pairs(spill: Spill, ones: Positions, others: Positions) -> Iterator[pa.RecordBatch]:
    for start in range(0, len(ones), PAIRS_A_BATCH):
        here = slice(start, start + PAIRS_A_BATCH)
        yield pa.RecordBatch.from_pydict(
            {"a": spill.at("text", ones[here]), "b": spill.at("text", others[here])}
        )


def _refuse_boilerplate(
    spill: Spill, columns: Columns, policy: Policy
) -> tuple[set[int], set[int]]:
    """Refuse posts of repeated lines only; return the others that have some, and the lines."""
    repeated = repeated_lines(spill, columns.kept, policy)
    having = [one for one in posts_with_lines(spill, repeated) if columns.reasons[one] == 0]
    affected = set()
    for start in range(0, len(having), 1024):
        part = having[start : start + 1024]
        for position, text in zip(part, spill.at("text", part), strict=True):
            if without_lines(text, repeated):
                affected.add(position)
            else:
                columns.reasons[position] |= np.uint16(Reason.BOILERPLATE)
    return affected, repeated


def _why_nothing(path: Path, columns: Columns) -> str:
    posts = len(columns.reasons)
    refused = int(np.count_nonzero(~columns.used))
    if refused == posts:
        return (
            f"none of the {posts:,} posts in {path} may be trained on: nobody granted it; import "
            "with --grant search,ground,embed,train and --basis, or import an archive's owner's "
            "own posts"
        )
    return (
        f"of the {posts:,} posts in {path}, {posts - refused:,} may be trained on, and none of "
        "them says anything to learn from (links, single characters, copies); import more posts"
    )


def _grouped(counts: Counter[str]) -> dict[str, Any]:
    """Turn `reason duplicate: 3` into `reasons: {duplicate: 3}`."""
    names = {"reason": "reasons", "redacted": "redacted", "language": "languages"}
    grouped: dict[str, Any] = {"splits": {}, "languages": {}, "reasons": {}, "redacted": {}}
    for name, count in sorted(counts.items()):
        group, _, rest = name.partition(" ")
        grouped[names.get(group, "splits")][rest or group] = count
    return grouped


def _check_allowed(log: PostLog, after: int, newest: int, folder: Path) -> None:
    """Raise _Withdrawn where a post of this corpus was erased or refused after an event."""
    posts = np.fromfile(folder / POSTS_FILE, dtype="<u8")
    while True:
        changed, erased, last = log.changed_keys(after)
        if last == after:
            return
        after = last
        if any(key <= newest for key in erased):
            raise _Withdrawn
        for one in log.stored(changed).values():
            if not one.allows("train") and _contains(posts, one.post.id):
                raise _Withdrawn


def _contains(posts: npt.NDArray[np.uint64], post: str) -> bool:
    number = short_hash(post)
    place = int(np.searchsorted(posts, np.uint64(number)))
    return place < len(posts) and int(posts[place]) == number


def _flush(folder: Path) -> None:
    """Bring every file of a folder onto the disk, so that a crash finds all or none of it."""
    for path in [*folder.iterdir(), folder]:
        number = os.open(path, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def _silent(stage: str, done: int, total: int) -> None:
    """Tell nobody."""
