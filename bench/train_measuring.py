"""What the training benchmarks share: fresh processes, the machine's peak, intervals, memory.

Needs nothing but the standard library until a peak is measured, so that it runs in Madang's
environment and in the peers' alike.
"""

from __future__ import annotations

import gzip
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from measuring import ROOT, SHARED

THREADS: Final = 2
WORK: Final = ROOT / "build" / "bench-training"
OURS: Final = ROOT / ".venv" / "bin" / "python"
PEERS: Final = ROOT / ".venv-bench-train" / "bin" / "python"
ENGLISH: Final = SHARED / "posts" / "en.jsonl.gz"
TWEETQA: Final = SHARED / "qa" / "tweetqa-train.jsonl.gz"
SHAKESPEARE: Final = SHARED / "text" / "tinyshakespeare" / "input.txt"
WIKITEXT: Final = SHARED / "text" / "wikitext2" / "valid.txt"

# Two-sided 95 % points of Student's t by degrees of freedom.
_T95: Final = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)


def need(*paths: Path) -> None:
    """End with a sentence where data that is not part of Madang is absent."""
    for path in paths:
        if not path.exists():
            raise SystemExit(f"{path} is absent: this benchmark measures on those data only")


def json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Read a file of JSON lines, gzipped or plain."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        for line in file:
            yield json.loads(line)


def fresh(python: Path, script: str, *arguments: str) -> dict[str, Any]:
    """Run one measured thing in a process of its own; return the JSON object it prints last.

    What it writes on standard error goes to a log beside the work folder's data, whose end is
    shown where the process fails.
    """
    WORK.mkdir(parents=True, exist_ok=True)
    log = WORK / f"{Path(script).stem}.log"
    threads = str(THREADS)
    quiet = {
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        "TQDM_DISABLE": "1",
        "CUDA_VISIBLE_DEVICES": "",
        # Scripts of peers/ share this file.
        "PYTHONPATH": str(ROOT / "bench"),
    }
    words = [str(python), str(ROOT / "bench" / script), *arguments]
    return last_object(words, log, os.environ | quiet)


def last_object(
    words: Sequence[str], log: Path, env: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Run a command, with standard error in a log; return the JSON object that it prints last.

    Where it fails, the end of the log is shown.
    """
    with log.open("w") as errors:
        done = subprocess.run(
            words,
            cwd=ROOT,
            env=env,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            check=False,
        )
    if done.returncode:
        end = "\n".join(log.read_text().splitlines()[-15:])
        raise SystemExit(f"{' '.join(words)} ended with {done.returncode}:\n{end}")
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def peak_flops(seconds: float = 3.0) -> float:
    """Return the machine's float32 matrix peak, operations/s: the best call of three square sizes.

    Both libraries that PyTorch brings are tried, MKL and oneDNN. Whatever else runs on the machine
    only ever makes a call slower, so this is the strictest peak to be a share of.
    """
    import torch

    torch.set_num_threads(THREADS)
    onednn = torch.ops.mkldnn._linear_pointwise
    best = 0.0
    for size in (1024, 2048, 4096):
        a, b, out = (torch.randn(size, size) for _ in range(3))
        for call in (
            lambda a=a, b=b, out=out: torch.mm(a, b, out=out),
            lambda a=a, b=b: onednn(a, b, None, "none", [], ""),
        ):
            call()
            ends = time.perf_counter() + seconds / 6
            while (began := time.perf_counter()) < ends:
                call()
                best = max(best, 2 * size**3 / (time.perf_counter() - began))
    return best


def peak_memory() -> int:
    """Return the largest resident size this process has had, bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def answer(**fields: object) -> None:
    """Print what `fresh` reads."""
    print(json.dumps(fields), flush=True)


def say(*words: object) -> None:
    """Tell the person who waits what was just measured."""
    print(*words, file=sys.stderr, flush=True)


def paired_interval(differences: Sequence[float]) -> tuple[float, float, float]:
    """Return the mean of paired differences and its 95 % interval (Student's t)."""
    mean = statistics.fmean(differences)
    if len(differences) < 2:
        return mean, -math.inf, math.inf
    freedom = min(len(differences) - 1, len(_T95))
    half = _T95[freedom - 1] * statistics.stdev(differences) / math.sqrt(len(differences))
    return mean, mean - half, mean + half


def peers_packages() -> tuple[str, ...]:
    """Return the packages whose versions figures depend on."""
    return ("torch", "transformers", "trl", "peft")


def verdict(value: float, floor: float, *, below: bool = False) -> str:
    """Say whether a figure reaches what is asked of it."""
    return "reached" if (value < floor if below else value >= floor) else "**not reached**"


if __name__ == "__main__":
    answer(peak=peak_flops(float(sys.argv[1]) if len(sys.argv) > 1 else 3.0))
