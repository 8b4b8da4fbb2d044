"""TRL's DPO loss on one batch, and its gradients, for `preference_parity.py`.

    python bench/peers/trl_preference.py FOLDER

FOLDER holds `model/` and `reference/` (Hugging Face folders) and `pairs.jsonl` with prompt, chosen
and rejected as strings; with `adapter/`, a PEFT adapter on `reference/` is trained instead. Writes
`trl.safetensors`: the loss, the log-probabilities of the reference, and every gradient.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from datasets import load_dataset
from peft import PeftModel
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import DPOConfig, DPOTrainer


def main() -> None:
    """Compute and write."""
    folder = Path(sys.argv[1])
    pairs = load_dataset("json", data_files=str(folder / "pairs.jsonl"), split="train")

    def load(name: str) -> torch.nn.Module:
        return AutoModelForCausalLM.from_pretrained(folder / name, dtype=torch.float32)

    if (folder / "adapter").exists():
        model = PeftModel.from_pretrained(load("reference"), folder / "adapter", is_trainable=True)
        reference = None
    else:
        model, reference = load("model"), load("reference")
    trainer = DPOTrainer(
        model=model,
        ref_model=reference,
        args=DPOConfig(
            output_dir=str(folder / "out"),
            beta=0.1,
            max_length=None,
            per_device_train_batch_size=len(pairs),
            gradient_checkpointing=False,
            bf16=False,
            use_cpu=True,
            report_to=[],
        ),
        train_dataset=pairs,
        processing_class=AutoTokenizer.from_pretrained(folder / "model"),
    )
    if reference is None and "ref" in model.peft_config:
        # TRL takes an adapter that has been trained already, as this one looks, as the reference;
        # in a run of its own the adapter begins at nothing, and the base is the reference.
        model.delete_adapter("ref")
    # The collator's own batch, in the file's order: the trainer's loader would shuffle it.
    batch = trainer.data_collator(list(trainer.train_dataset))
    chosen, rejected = _reference(trainer, batch)
    loss = trainer.compute_loss(trainer.model, batch)
    loss.backward()
    found = {"loss": loss.detach(), "reference": torch.stack([chosen, rejected], 1)}
    found |= {
        f"gradient.{name}": weight.grad.contiguous().clone()
        for name, weight in trainer.model.named_parameters()
        if weight.grad is not None
    }
    save_file(found, folder / "trl.safetensors")


def _reference(trainer: DPOTrainer, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
    model = trainer.ref_model if trainer.ref_model is not None else trainer.model
    return tuple(one.detach().clone() for one in trainer.compute_ref_log_probs(model, batch))


if __name__ == "__main__":
    main()
