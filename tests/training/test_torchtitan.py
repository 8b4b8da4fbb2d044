"""The hand-over to torchtitan: the same tokens in the same order, a step for a step."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from chats import chat_tokenizer
from tiny import tiny_plan

from madang.corpus.batches import Batches
from madang.corpus.corpus import Corpus
from madang.corpus.curated import DOCUMENTS
from madang.corpus.packing import tokenize
from madang.model.segments import Segments
from madang.model.transformer import Transformer
from madang.training.plan import Plan
from madang.training.torchtitan import MODULE, Handover, emit

ROWS, LENGTH, STEPS = 4, 32, 40
ROOT = Path(__file__).parents[2]
PEERS = ROOT / ".venv-bench-train" / "bin" / "python"

# Written as someone would without Madang: the copied module, NumPy, and nothing of ours.
ALONE = """
import sys, importlib.util, pathlib, numpy
folder = pathlib.Path(sys.argv[1])
spec = importlib.util.spec_from_file_location("stream", folder / "madang_run" / "stream.py")
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
stream = module.ShardStream(folder / "data")
found = []
for step in range(stream.steps):
    parts = [stream.batch(step, first, first + 1) for first in range(stream.rows)]
    whole = stream.batch(step)
    for one, other in zip(whole, zip(*parts)):
        assert (one == numpy.concatenate(other)).all()
    found.append(numpy.stack(whole))
assert "madang" not in sys.modules and "torch" not in sys.modules
numpy.save(sys.argv[2], numpy.stack(found))
"""


def corpus(folder: Path, name: str, documents: int) -> Corpus:
    """Write a curated folder and tokenize it into several shards."""
    random = np.random.default_rng(len(name))
    words = ["the", "ferry", "leaves", "at nine", "섬에는", "등대가", "하나", "있습니다", "🙂"]
    curated = folder / name
    curated.mkdir()
    rows = [
        {
            "document": f"{name}:{number}",
            "posts": [f"{name}:{number}:0"],
            "texts": [" ".join(random.choice(words, size=random.integers(1, 40)))],
            "language": "en",
            "time": None,
            "split": "future" if number % 9 == 0 else "train",
            "depth": 1,
        }
        for number in range(documents)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=DOCUMENTS), curated / "documents.parquet")
    (curated / "manifest.json").write_text(json.dumps({"fingerprint": name}), "utf-8")
    return tokenize(curated, chat_tokenizer(), workers=1, shard_bytes=600)


def run_plan(**overrides: object) -> Plan:
    return tiny_plan(
        vocabulary=chat_tokenizer().vocabulary_size,
        rows=ROWS, length=LENGTH, steps=STEPS, seed=3, **overrides,
    )  # fmt: skip


def handed_over(folder: Path, *, replay: bool = False) -> tuple[Batches, Handover]:
    batches = Batches(
        corpus(folder, "town", 60),
        seed=3,
        sequence_length=LENGTH,
        rows=ROWS,
        replay=corpus(folder, "general", 25) if replay else None,
        replay_share=0.3 if replay else 0.0,
    )
    return batches, emit(run_plan(), batches, folder / "handover")


@pytest.mark.parametrize("replay", [False, True])
def test_the_stream_alone_gives_our_batches(tmp_path: Path, replay: bool) -> None:
    batches, handover = handed_over(tmp_path, replay=replay)
    # Several shards, several epochs, and steps that begin in the middle of documents.
    assert len(list((handover.folder / "data").glob("tokens-*.bin"))) > 2
    assert len(list((handover.folder / "data").glob("order-*.npy"))) > 1
    script = tmp_path / "alone.py"
    script.write_text(ALONE, "utf-8")
    command = [sys.executable, "-I", str(script), str(handover.folder), str(tmp_path / "found.npy")]
    subprocess.run(command, check=True, cwd=tmp_path)
    found = np.load(tmp_path / "found.npy")
    assert len(found) == STEPS
    for step in range(STEPS):
        batch = batches.batch(step)
        expected = np.stack([batch.tokens, batch.targets, batch.positions])
        assert (found[step] == expected).all(), f"step {step}"


def test_what_is_written_is_whole_and_says_how_to_run_it(tmp_path: Path) -> None:
    _, handover = handed_over(tmp_path)
    assert handover.tokens == STEPS * ROWS * LENGTH
    assert sorted(one.name for one in tmp_path.iterdir()) == ["handover", "town"]
    run = json.loads((handover.folder / MODULE / "run.json").read_text("utf-8"))
    assert (run["steps"], run["rows"], run["length"]) == (STEPS, ROWS, LENGTH)
    assert run["model"]["width"] == 64
    assert (handover.folder / "assets" / "tokenizer.json").exists()
    assert (handover.folder / "assets" / "config.json").exists()
    readme = (handover.folder / "README.md").read_text("utf-8")
    assert f"--module {MODULE} --config madang" in readme
    assert "Delete this folder" in readme


def test_weights_go_along_where_there_are_any(tmp_path: Path) -> None:
    batches, _ = handed_over(tmp_path)
    model = Transformer(run_plan().model_config())
    first = emit(run_plan(), batches, tmp_path / "continued", model=model).folder / "assets"
    # A plan that has a base brings its weights by itself.
    second = emit(run_plan(base=str(first)), batches, tmp_path / "again").folder / "assets"
    weights = [(one / "model.safetensors").read_bytes() for one in (first, second)]
    assert weights[0] == weights[1]


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"steps": None, "minutes": 5.0}, "needs --steps"),
        ({"objective": "sft"}, "hands over pretraining"),
        ({"method": "lora"}, "hands over pretraining"),
        ({"rows": 8}, "the plan has 8 rows"),
        ({"vocabulary": 64}, "tokenize the corpus with the model's tokenizer"),
    ],
)
def test_what_torchtitan_cannot_train_is_refused(
    tmp_path: Path, overrides: dict[str, object], said: str
) -> None:
    batches, handover = handed_over(tmp_path)
    with pytest.raises(ValueError, match=said):
        emit(replace(run_plan(), **overrides), batches, tmp_path / "other")  # type: ignore[arg-type]
    assert not (tmp_path / "other").exists()
    with pytest.raises(ValueError, match="is not empty"):
        emit(run_plan(), batches, handover.folder)


@cache
def torchtitan_python() -> Path | None:
    """Return the interpreter of an environment that has torchtitan and all that it needs."""
    for python in (Path(sys.executable), PEERS):
        if python.exists():
            command = [python, "-c", "import torchtitan.trainer"]
            if not subprocess.run(command, capture_output=True, check=False).returncode:
                return python
    return None


PARSED = """
import json, sys
from torchtitan.config import ConfigManager
config = ConfigManager().parse_args(["--module", "madang_run", "--config", "madang", *sys.argv[1:]])
loaders = [
    config.dataloader.build(
        dp_world_size=2, dp_rank=rank, tokenizer=None, seq_len=config.training.seq_len,
        local_batch_size=config.training.local_batch_size, snapshot_every_n_steps=1,
    )
    for rank in range(2)
]
iterators = [iter(one) for one in loaders]
# Two ranks, two rows each, one row at a time: four rows make a step.
rows = [[next(one) for _ in range(2)] for one in iterators]
state = loaders[0].state_dict()
again = config.dataloader.build(
    dp_world_size=1, dp_rank=0, tokenizer=None, seq_len=config.training.seq_len,
    local_batch_size=4, snapshot_every_n_steps=1,
)
again.load_state_dict(state)
inputs, labels = next(iter(again))
import torch
from safetensors.torch import load_file
shape = config.model_spec.model
shape.update_from_config(config=config)
model = shape.build()
model.init_states()
adapter = config.model_spec.state_dict_adapter(shape, config.hf_assets_path)
weights = load_file(config.hf_assets_path + "/model.safetensors")
model.load_state_dict(adapter.from_hf(weights))
with torch.no_grad():
    masks = model.get_attention_masks(positions=inputs["positions"])
    logits = model(inputs["input"], attention_masks=masks, positions=inputs["positions"])
torch.save(logits.float(), "logits.pt")
print(json.dumps({
    "steps": config.training.steps,
    "first": [[row[0]["input"][0].tolist() for row in rank] for rank in rows],
    "second": inputs["input"].tolist(), "labels": labels.tolist(),
    "positions": inputs["positions"].tolist(), "state": state,
}))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("layout", "tied"), [("qwen3", False), ("qwen3", True), ("llama", False)])
def test_torchtitan_itself_reads_the_run_and_computes_the_same(
    tmp_path: Path, layout: str, tied: bool
) -> None:
    python = torchtitan_python()
    if python is None:
        pytest.skip("no environment here has torchtitan")
    torch.set_num_threads(1)
    batches, _ = handed_over(tmp_path)
    plan = run_plan(qk_norm=layout == "qwen3", tied=tied)
    model = Transformer(plan.model_config())
    noise = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.05 * torch.randn(weight.shape, generator=noise))
    folder = emit(plan, batches, tmp_path / layout, model=model).folder
    script = tmp_path / "parse.py"
    script.write_text(PARSED, "utf-8")
    done = subprocess.run(
        [str(python), str(script), "--training.steps", "7"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": f"{folder}:{os.environ.get('PYTHONPATH', '')}"},
        check=True,
        capture_output=True,
        text=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    first, second = batches.batch(0), batches.batch(1)
    assert found["steps"] == 7
    assert found["state"] == {"steps": 1}
    assert np.concatenate(found["first"]).tolist() == first.tokens.tolist()
    assert found["second"] == second.tokens.tolist()
    assert found["labels"] == second.targets.tolist()
    assert found["positions"] == second.positions.tolist()
    segments = Segments.from_lengths(second.lengths.tolist())
    with torch.no_grad():
        ours = model.logits(model.hidden(torch.from_numpy(second.tokens).flatten(), segments))
    theirs = torch.load(folder / "logits.pt").reshape(ours.shape)
    assert (ours - theirs).abs().max() < 1e-5 * ours.abs().max()
