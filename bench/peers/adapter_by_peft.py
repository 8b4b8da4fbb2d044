"""An exported adapter as PEFT puts it on its base: writes its log-probabilities to `by_peft.npy`.

Called by `bench/export_equality.py` with the folder of an export; it also holds `base/`, the base
in Hugging Face's layout, and `prompts.npz`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM


def main(folder: Path) -> None:
    """Read, put together, ask, write."""
    base = AutoModelForCausalLM.from_pretrained(folder / "base", dtype=torch.float64)
    model = PeftModel.from_pretrained(base, folder / "adapter").eval()
    prompts = np.load(folder / "prompts.npz")
    rows = []
    for number in range(len(prompts.files) // 2):
        ids = torch.from_numpy(prompts[f"ids{number}"])[None]
        best = torch.from_numpy(prompts[f"best{number}"]) - 1
        with torch.inference_mode():
            logits = model(input_ids=ids).logits[0, best]
        rows.append(torch.log_softmax(logits.double(), -1).float().numpy())
    np.save(folder / "by_peft.npy", np.concatenate(rows))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
