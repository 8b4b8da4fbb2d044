"""The data that both sides of a training benchmark read, made once under build/.

Everything here is a pure function of the data and the counts asked for, so that a second call
finds what the first one made.
"""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from train_measuring import ENGLISH, OURS, PEERS, ROOT, TWEETQA, WORK, json_lines, need

_FIND_WEIGHTS: Final = """
import sys
from madang.engines.smollm2 import smollm2_path
from madang.text.gguf_tokenizer import tokenizer_from_gguf
path = smollm2_path()
tokenizer_from_gguf(path).save(sys.argv[1])
print(path)
"""


def smollm2_folder() -> Path:
    """Return a folder with SmolLM2-135M-Instruct's weights in float32 and its tokenizer.

    The weights are dequantised by transformers, the tokenizer is written by Madang: both sides
    read the same folder.
    """
    folder = WORK / "smollm2"
    if not (folder / "complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        found = subprocess.run(
            [OURS, "-c", _FIND_WEIGHTS, folder], check=True, capture_output=True, text=True
        )
        weights = found.stdout.strip()
        script = ROOT / "bench" / "peers" / "smollm2_folder.py"
        subprocess.run([PEERS, script, weights, folder], check=True, stderr=subprocess.DEVNULL)
        (folder / "complete").touch()
    return folder


def sampled_posts(count: int, seed: int = 0) -> Path:
    """Return JSON lines `{"text"}` of English posts drawn without replacement."""
    need(ENGLISH)

    def lines() -> Iterable[str]:
        texts = [post["text"] for post in json_lines(ENGLISH) if post["text"].strip()]
        for text in random.Random(seed).sample(texts, count):
            yield json.dumps({"text": text}, ensure_ascii=False)

    return _written(WORK / f"posts-{count}-{seed}.jsonl", lines)


def tweetqa_conversations() -> Path:
    """Return JSON lines `{"messages"}`: the post and the question, then the first answer.

    The order is drawn once, since TweetQA's own follows its tweets.
    """
    need(ENGLISH, TWEETQA)

    def lines() -> Iterable[str]:
        posts = {
            post["id"]: post["text"]
            for post in json_lines(ENGLISH)
            if post["id"].startswith("tweetqa:")
        }
        questions = list(json_lines(TWEETQA))
        random.Random(0).shuffle(questions)
        for one in questions:
            text, asked, said = posts[one["post"]], one["question"], one["answers"][0]
            if not said.strip():
                continue
            yield json.dumps(
                {
                    "messages": [
                        {"role": "user", "content": f"{text}\n\n{asked}"},
                        {"role": "assistant", "content": said},
                    ]
                },
                ensure_ascii=False,
            )

    return _written(WORK / "tweetqa.jsonl", lines)


def _written(path: Path, lines: Callable[[], Iterable[str]]) -> Path:
    """Write lines where the file is not there yet, whole or not at all."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_text("".join(f"{line}\n" for line in lines()), "utf-8")
        part.rename(path)
    return path
