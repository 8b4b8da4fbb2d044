"""datatrove's MinHash pipeline over a file of posts; run by bench/curation.py in its own venv.

python curation_peer.py POSTS.jsonl WORK_FOLDER WORKERS
"""

from __future__ import annotations

import gzip
import json
import os
import sys
import time
from importlib.metadata import version
from pathlib import Path

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup.minhash import (
    MinhashConfig,
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
    MinhashDedupSignature,
)
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers.jsonl import JsonlWriter


def main() -> None:
    """Run the four steps as datatrove's own example does; print seconds and what was kept."""
    posts, work, workers = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    config = MinhashConfig()

    def reader() -> JsonlReader:
        # One file for each task, so that both cores have one.
        return JsonlReader(str(posts), glob_pattern="*.jsonl")

    steps = [
        (
            [reader(), MinhashDedupSignature(str(work / "signatures"), config=config)],
            workers,
        ),
        (
            [MinhashDedupBuckets(str(work / "signatures"), str(work / "buckets"), config=config)],
            config.num_buckets,
        ),
        (
            [MinhashDedupCluster(str(work / "buckets"), str(work / "remove"), config=config)],
            1,
        ),
        (
            [
                reader(),
                MinhashDedupFilter(str(work / "remove")),
                JsonlWriter(str(work / "kept"), compression="gzip"),
            ],
            workers,
        ),
    ]
    # What the steps report stays out of the result.
    result = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    started = time.perf_counter()
    for number, (pipeline, tasks) in enumerate(steps):
        LocalPipelineExecutor(
            pipeline=pipeline,
            tasks=tasks,
            workers=min(workers, tasks),
            logging_dir=str(work / f"logs-{number}"),
        ).run()
    seconds = time.perf_counter() - started
    kept = []
    for path in (work / "kept").glob("*.gz"):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            kept += [json.loads(line)["id"] for line in file]
    print(
        json.dumps({"seconds": seconds, "kept": kept, "version": version("datatrove")}), file=result
    )


if __name__ == "__main__":
    main()
