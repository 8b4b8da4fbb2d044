"""Direct preference optimisation beside TRL's DPOTrainer: loss and every gradient of one batch.

python bench/preference_parity.py [--pairs 8]

The same small model in float32, exported to a Hugging Face folder, and the same pairs; TRL runs in
the peers' environment. Both a full run and a LoRA are compared. Fails above 1e-4 relative.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from madang.model.hugging_face import hugging_face_name, save_hugging_face
from madang.model.lora import LoraConfig, add_lora, save_adapter
from madang.model.transformer import ModelConfig, Transformer
from madang.text.chat_template import encode_chat, render
from madang.text.tokenizer import Tokenizer, train_tokenizer
from madang.training.data_files import read_preferences
from madang.training.preference import (
    assemble_pairs,
    encode_preferences,
    preference_loss,
    reference_log_probabilities,
)
from measuring import ROOT, SAMPLE, machine, table

PEERS = ROOT / ".venv-bench-train" / "bin" / "python"
LIMIT = 1e-4
BETA = 0.1


def main() -> None:
    """Compare and print one table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=8)
    count = parser.parse_args().pairs
    lines, largest = [], 0.0
    for method in ("full", "lora"):
        with tempfile.TemporaryDirectory() as name:
            found = compare(Path(name), count, method)
        largest = max(largest, *found.values())
        lines.append((method, *(f"{value:.1e}" for value in found.values())))
    print(f"{count} pairs; {machine(['torch', 'transformers'])}, TRL {_version()}\n")
    header = ("method", "loss", "reference", "gradients together", "worst single gradient")
    print(table(header, lines))
    print(f"\nRelative differences from TRL; the largest is {largest:.1e}, the limit {LIMIT:.0e}.")
    if not largest <= LIMIT:
        raise SystemExit(1)


def compare(folder: Path, count: int, method: str) -> dict[str, float]:
    """Return the relative differences between both sides."""
    posts = [json.loads(line) for line in (SAMPLE / "posts.jsonl").open(encoding="utf-8")]
    texts = [post["text"] for post in posts if post.get("text")]
    tokenizer = train_tokenizer(texts, 1024)
    reference, model = _model(tokenizer, 0), _model(tokenizer, 1)
    rows = [
        {"prompt": texts[3 * i], "chosen": texts[3 * i + 1], "rejected": texts[3 * i + 2]}
        for i in range(count)
    ]
    path = folder / "ours.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    _write_for_trl(folder, rows, tokenizer)
    for name, one in (("reference", reference), ("model", model)):
        save_hugging_face(one, folder / name)
        tokenizer.save(folder / name)
    if method == "lora":
        model = reference
        add_lora(model, LoraConfig(rank=4, alpha=8), seed=0)
        noise = torch.Generator().manual_seed(2)
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if name.endswith("lora_b"):
                    weight.normal_(0, 0.05, generator=noise)
        save_adapter(model, folder / "adapter", base=str(folder / "reference"))
    end = tokenizer.end_of_turn
    assert end is not None
    pairs = encode_preferences(
        read_preferences(path), partial(encode_chat, tokenizer), end=end, length=4096, path=path
    ).pairs
    stood = reference_log_probabilities(reference, pairs, length=4096)
    batch = assemble_pairs([pairs], stood, length=1 << 20)
    loss = preference_loss(model, batch, BETA) / batch.count
    loss.backward()
    peer = ROOT / "bench" / "peers" / "trl_preference.py"
    done = subprocess.run([PEERS, peer, folder], check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    theirs = load_file(folder / "trl.safetensors")
    gradients = {
        name.removeprefix("gradient."): tensor
        for name, tensor in theirs.items()
        if name.startswith("gradient.")
    }
    ours = dict(_gradients(model))
    assert ours.keys() == gradients.keys(), sorted(ours.keys() ^ gradients.keys())[:5]
    together = [torch.cat([one[name].flatten() for name in ours]) for one in (ours, gradients)]
    return {
        "loss": _apart(loss.detach(), theirs["loss"]),
        "reference": _apart(torch.from_numpy(stood), theirs["reference"]),
        "gradients": _apart(*together),
        "worst": max(_apart(ours[name], gradients[name]) for name in ours),
    }


def _model(tokenizer: Tokenizer, seed: int) -> Transformer:
    config = ModelConfig(
        vocabulary=tokenizer.vocabulary_size,
        width=128, layers=3, heads=4, key_value_heads=2, head_width=64, hidden=256,
    )  # fmt: skip
    model = Transformer(config)
    model.initialise(seed)
    noise = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        # Projections that begin at zero would hide most of the model from the comparison.
        for weight in model.parameters():
            weight.add_(0.03 * torch.randn(weight.shape, generator=noise))
    return model


def _write_for_trl(folder: Path, rows: list[dict[str, str]], tokenizer: Tokenizer) -> None:
    """Write the pairs as TRL takes strings: the template around the prompt, ends left to TRL.

    As conversations, TRL would also train the line break that the template puts after an end.
    """
    with (folder / "pairs.jsonl").open("w", encoding="utf-8") as file:
        for row in rows:
            prompt = render([{"role": "user", "content": row["prompt"]}], True)
            file.write(json.dumps(row | {"prompt": prompt}) + "\n")


def _gradients(model: Transformer) -> Iterator[tuple[str, Tensor]]:
    """Yield every gradient under the name that transformers and PEFT give to its weight."""
    for name, weight in model.named_parameters():
        if weight.grad is None:
            continue
        module, _, kind = name.rpartition(".")
        if kind in ("lora_a", "lora_b"):
            yield (
                f"base_model.model.model.{module}.lora_{kind[-1].upper()}.default.weight",
                weight.grad,
            )
        else:
            yield hugging_face_name(name), weight.grad


def _apart(ours: Tensor, theirs: Tensor) -> float:
    """Return the norm of the difference over the norm of theirs."""
    return float((ours.double() - theirs.double()).norm() / theirs.double().norm())


def _version() -> str:
    code = "import importlib.metadata as m; print(m.version('trl'))"
    return subprocess.run(
        [PEERS, "-c", code], check=True, capture_output=True, text=True
    ).stdout.strip()


if __name__ == "__main__":
    main()
