"""Memory of the server with its embedded model, after it answered questions.

python bench/serving_memory.py [--questions 20]
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import httpx
import psutil

from freshness import serving
from madang.home import Home, ingest_sample
from measuring import SAMPLE, machine, table


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--questions", type=int, default=20)
    count = parser.parse_args().questions
    lines = (SAMPLE / "questions-open.jsonl").read_text("utf-8").splitlines()[:count]
    questions = [json.loads(line)["question"] for line in lines]
    with tempfile.TemporaryDirectory() as folder:
        with Home(folder) as home:
            ingest_sample(home)
        with serving(Path(folder)) as base:
            before = _resident_mb()
            client = httpx.Client(base_url=base, timeout=120)
            for question in questions:
                body = {"model": "madang", "messages": [{"role": "user", "content": question}]}
                client.post("/v1/chat/completions", json=body).raise_for_status()
            after = _resident_mb()
    print(machine(["xllamacpp", "fastapi", "uvicorn"]) + "\n")
    print(
        table(
            ("server and all its processes", "resident MB"),
            [
                ("listening", f"{before:,.0f}"),
                (f"after {count} questions", f"{after:,.0f}"),
            ],
        )
    )


def _resident_mb() -> float:
    family = psutil.Process().children(recursive=True)
    return sum(member.memory_info().rss for member in family) / 1e6


if __name__ == "__main__":
    main()
