"""Train SmolLM2 with TRL's SFTTrainer and PEFT, and print how many tokens a second it took.

    PYTHONPATH=bench python bench/peers/trl_training.py MODEL DATA [--packed] [--answers]

DATA are JSON lines of `{"text"}`, every token trained, or with `--answers` of `{"messages"}`,
which become TRL's prompt and completion, whose loss is on the completion only (its default).
Float32, LoRA of rank 8 on every linear layer, 4 x 512 tokens a batch, no gradient checkpointing;
all else as TRL sets it, so that packing is its best-fit decreasing.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from typing import Any

import torch
from datasets import load_dataset
from peft import LoraConfig
from transformers import AutoTokenizer, TrainerCallback
from trl import SFTConfig, SFTTrainer

from train_measuring import THREADS, answer, peak_memory

ROWS, LENGTH = 4, 512


class Clock(TrainerCallback):
    """Notes when each step ended, and what it was made of."""

    def __init__(self) -> None:
        """Start with nothing noted."""
        self.ends: list[float] = []
        self.batches: list[tuple[int, int, int]] = []
        """Of each step: tokens of documents, positions that were computed, trained tokens."""

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Note the time at which an optimizer step has ended."""
        self.ends.append(time.perf_counter())

    def look(self, _: torch.nn.Module, __: tuple[Any, ...], inputs: dict[str, Any]) -> None:
        """Count what a forward pass is given."""
        ids, mask = inputs["input_ids"], inputs.get("attention_mask")
        useful = ids.numel() if mask is None else int(mask.sum())
        # The first token of a row is never predicted.
        trained = int((inputs["labels"][:, 1:] != -100).sum())
        self.batches.append((useful, ids.numel(), trained))


def main() -> None:
    """Train for a few steps."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("data")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--warm-up", type=int, default=2)
    parser.add_argument("--packed", action="store_true")
    parser.add_argument("--answers", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()

    torch.set_num_threads(THREADS)
    tokenizer = AutoTokenizer.from_pretrained(chosen.model)
    data = load_dataset("json", data_files=chosen.data, split="train")
    if chosen.answers:
        data = data.map(_prompt_and_completion, remove_columns="messages")
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        trainer = SFTTrainer(
            model=chosen.model,
            processing_class=tokenizer,
            train_dataset=data,
            peft_config=LoraConfig(
                r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM"
            ),
            callbacks=[clock],
            args=SFTConfig(
                output_dir=folder,
                model_init_kwargs={"dtype": "float32"},
                bf16=False,
                use_cpu=True,
                gradient_checkpointing=False,
                packing=chosen.packed,
                max_length=LENGTH,
                per_device_train_batch_size=ROWS,
                max_steps=chosen.warm_up + chosen.steps,
                save_strategy="no",
                report_to=[],
                seed=chosen.seed,
            ),
        )
        trainer.model.register_forward_pre_hook(clock.look, with_kwargs=True)
        trainer.train()
    counted = clock.batches[chosen.warm_up :]
    seconds = clock.ends[-1] - clock.ends[chosen.warm_up - 1]
    answer(
        useful_per_second=sum(useful for useful, _, _ in counted) / seconds,
        trained_per_second=sum(trained for _, _, trained in counted) / seconds,
        useful_share=sum(u for u, _, _ in counted) / sum(c for _, c, _ in counted),
        seconds=seconds,
        peak_memory=peak_memory(),
        attention=trainer.model.config._attn_implementation,
    )


def _prompt_and_completion(row: dict[str, Any]) -> dict[str, Any]:
    *prompt, completion = row["messages"]
    return {"prompt": prompt, "completion": [completion]}


if __name__ == "__main__":
    main()
