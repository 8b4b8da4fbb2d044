"""Blocks compiled by torch.compile, where the machine has a C++ compiler.

What stands between two attentions is compiled, with static shapes; attention is not, since its
shapes change with every batch's documents. All blocks share the same two compiled functions. Where
no gradient is asked for, in evaluations and samples, each text has a length of its own, which would
be compiled anew every time: there the blocks run as they are.
"""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

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
    """Have the blocks learn compiled, from their first use on; return False without a compiler.

    The first step with a number of tokens takes seconds to a minute; each further number of tokens
    takes it again, and torch refuses the ninth, so that batches should be of one size.
    """
    if not has_compiler():
        return False
    for block in model.layers:
        assert isinstance(block, Block)
        before, after = _where_it_learns(block.before), _where_it_learns(block.after)
        block.before, block.after = before, after  # type: ignore[method-assign]
    return True


def _where_it_learns(plain: Callable[..., Tensor]) -> Callable[..., Tensor]:
    compiled = torch.compile(plain, dynamic=False, fullgraph=True)

    @functools.wraps(plain)
    def choose(*inputs: Tensor) -> Tensor:
        return compiled(*inputs) if torch.is_grad_enabled() else plain(*inputs)

    return choose
