"""Blocks compiled by torch.compile, where the machine has a C++ compiler.

What stands between two attentions is compiled, with static shapes; attention is not, since its
shapes change with every batch's documents. All blocks share the same two compiled functions.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import torch

from madang.model.transformer import Block, Transformer


def has_compiler(torch_folder: Path = Path(torch.__file__).parent) -> bool:
    """Return whether a C++ compiler is there for torch.compile to call.

    PyTorch names the folder where it is installed on the compiler's command line without quotes;
    where that folder's path has a blank in it, every compilation fails.
    """
    if any(letter.isspace() for letter in str(torch_folder)):
        return False
    named = os.environ.get("CXX")
    return any(shutil.which(name) for name in ([named] if named else ["g++", "clang++"]))


def compile_blocks(model: Transformer) -> bool:
    """Compile the model's blocks in place, on their first use; return False without a compiler.

    The first step with a number of tokens takes seconds to a minute; each further number of tokens
    takes it again, so that batches should be of one size.
    """
    if not has_compiler():
        return False
    for block in model.layers:
        assert isinstance(block, Block)
        before = torch.compile(block.before, dynamic=False, fullgraph=True)
        after = torch.compile(block.after, dynamic=False, fullgraph=True)
        block.before, block.after = before, after  # type: ignore[method-assign]
    return True
