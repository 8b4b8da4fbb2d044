# mypy: ignore-errors
"""The run for torchtitan: `torchrun … -m torchtitan.train --module madang_run --config madang`.

Written against torchtitan 0.3. `run.json` beside this file has every number. The model is Qwen3's
dense layout built from torchtitan's own parts, without the norms of queries and keys where the plan
has none; the data are Madang's shards in Madang's order, one step's batch for one step.
"""

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import nn
from torchtitan.components.checkpoint import CheckpointManager
from torchtitan.components.dataloader import BaseDataLoader, DataloaderExhaustedError
from torchtitan.components.loss import ChunkedLossWrapper, CrossEntropyLoss
from torchtitan.components.metrics import MetricsProcessor
from torchtitan.components.optimizer import LRSchedulersContainer, default_adamw
from torchtitan.config import CompileConfig, TrainingConfig
from torchtitan.config.configs import DebugConfig
from torchtitan.distributed.activation_checkpoint import SelectiveAC
from torchtitan.distributed.pipeline_parallel import pipeline_llm
from torchtitan.models.common import CosSinRoPE, Embedding, Linear
from torchtitan.models.common.config_utils import (
    get_attention_config,
    make_ffn_config,
    make_gqa_config,
)
from torchtitan.models.common.nn_modules import RMSNorm
from torchtitan.models.common.param_init import skip_param_init
from torchtitan.models.qwen3 import parallelize_qwen3
from torchtitan.models.qwen3.model import Qwen3Model, Qwen3TransformerBlock
from torchtitan.models.qwen3.state_dict_adapter import Qwen3StateDictAdapter
from torchtitan.protocols.model_spec import ModelSpec
from torchtitan.trainer import Trainer

from .stream import ShardStream

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
RUN = json.loads((HERE / "run.json").read_text("utf-8"))


class ShardDataLoader(BaseDataLoader):
    """A rank's rows of every step; where it stands is one number, whatever the number of ranks."""

    @dataclass(kw_only=True, slots=True)
    class Config(BaseDataLoader.Config):
        """The folder with `order.json` is `dataset_path`."""

        dataset: str = "madang"

    def __init__(self, config, *, dp_world_size, dp_rank, seq_len, local_batch_size, **_):
        """Open the shards; ValueError where the rows cannot be shared out over the ranks."""
        self._stream = ShardStream(Path(config.dataset_path))
        rows, length = self._stream.rows, self._stream.length
        if seq_len != length:
            raise ValueError(f"the hand-over has rows of {length} tokens, not of {seq_len}")
        if rows % (dp_world_size * local_batch_size):
            raise ValueError(
                f"{rows} rows a step cannot be shared by {dp_world_size} ranks that take "
                f"{local_batch_size} at a time; set --training.local_batch_size"
            )
        self._first = dp_rank * (rows // dp_world_size)
        self._taken = local_batch_size
        self._parts = rows // dp_world_size // local_batch_size
        self._batches = 0

    def __iter__(self):
        """Yield `{"input", "positions"}` and labels, int64 `[local batch, length]`."""
        while True:
            step, part = divmod(self._batches, self._parts)
            if step >= self._stream.steps:
                raise DataloaderExhaustedError
            first = self._first + part * self._taken
            found = self._stream.batch(step, first, first + self._taken)
            tokens, targets, positions = (torch.from_numpy(one) for one in found)
            self._batches += 1
            yield {"input": tokens, "positions": positions}, targets

    def state_dict(self):
        """Return how many steps have been taken."""
        return {"steps": self._batches // self._parts}

    def load_state_dict(self, state_dict):
        """Go on after the steps of a checkpoint."""
        if state_dict:
            self._batches = state_dict["steps"] * self._parts


def model_config(attention: str = "flex") -> Qwen3Model.Config:
    """Return the model's shape, initialised as Madang does it."""
    shape = RUN["model"]
    width, head_width = shape["width"], shape["head_width"]

    def norm(features: int) -> RMSNorm.Config:
        ones = {"weight": nn.init.ones_}
        return RMSNorm.Config(normalized_shape=features, eps=shape["norm_epsilon"], param_init=ones)

    reads = {"weight": partial(nn.init.normal_, std=width**-0.5)}
    writes = {"weight": nn.init.zeros_}
    embedding = {"weight": partial(nn.init.normal_, std=0.02)}
    rope = CosSinRoPE.Config(
        dim=head_width, max_seq_len=max(shape["context"], RUN["length"]), theta=shape["rope_base"]
    )

    def block() -> Qwen3TransformerBlock.Config:
        feed_forward = make_ffn_config(
            dim=width, hidden_dim=shape["hidden"], w1_param_init=reads, w2w3_param_init=reads
        )
        feed_forward.w2.param_init = writes
        return Qwen3TransformerBlock.Config(
            attention_norm=norm(width),
            ffn_norm=norm(width),
            attention=make_gqa_config(
                dim=width,
                n_heads=shape["heads"],
                n_kv_heads=shape["key_value_heads"],
                head_dim=head_width,
                wqkv_param_init=reads,
                wo_param_init=writes,
                inner_attention=get_attention_config(attention),
                fuse_qkv=True,
                rope=rope,
                qk_norm=norm(head_width) if shape["qk_norm"] else None,
            ),
            feed_forward=feed_forward,
        )

    return Qwen3Model.Config(
        vocab_size=shape["vocabulary"],
        dim=width,
        norm=norm(width),
        enable_weight_tying=shape["tied"],
        tok_embeddings=Embedding.Config(
            num_embeddings=shape["vocabulary"],
            embedding_dim=width,
            param_init={"weight": skip_param_init} if shape["tied"] else embedding,
        ),
        lm_head=Linear.Config(
            in_features=width,
            out_features=shape["vocabulary"],
            param_init=embedding if shape["tied"] else writes,
        ),
        layers=[block() for _ in range(shape["layers"])],
    )


def madang() -> Trainer.Config:
    """Return the whole run; every value can be overridden on torchtitan's command line."""
    weights = ROOT / "assets" / "model.safetensors"
    return Trainer.Config(
        model_spec=ModelSpec(
            name="qwen3",
            flavor="madang",
            model=model_config(),
            parallelize_fn=parallelize_qwen3,
            pipelining_fn=pipeline_llm,
            post_optimizer_build_fn=None,
            state_dict_adapter=Qwen3StateDictAdapter,
        ),
        hf_assets_path=str(ROOT / "assets"),
        dump_folder=str(ROOT / "outputs"),
        loss=ChunkedLossWrapper.Config(
            loss_fn=CrossEntropyLoss.Config(global_vocab_size=RUN["model"]["vocabulary"])
        ),
        dataloader=ShardDataLoader.Config(dataset_path=str(ROOT / "data")),
        optimizer=default_adamw(**RUN["optimizer"]),
        lr_scheduler=LRSchedulersContainer.Config(
            warmup_steps=RUN["warm_up"], decay_ratio=RUN["decay_share"], decay_type="linear"
        ),
        training=TrainingConfig(
            local_batch_size=1,
            global_batch_size=RUN["rows"],
            seq_len=RUN["length"],
            steps=RUN["steps"],
            max_norm=RUN["clip"],
        ),
        checkpoint=CheckpointManager.Config(
            enable=True,
            interval=RUN["checkpoint_every"],
            initial_load_path=str(ROOT / "assets") if weights.exists() else None,
            initial_load_in_hf=weights.exists(),
            last_save_in_hf=True,
        ),
        activation_checkpoint=SelectiveAC.Config(),
        compile=CompileConfig(enable=True),
        metrics=MetricsProcessor.Config(log_freq=10),
        debug=DebugConfig(seed=RUN["seed"]),
    )
