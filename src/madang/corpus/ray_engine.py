"""The same functions on the same batches, on Ray Data: over the machines of a cluster."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from madang.corpus.parallel import BatchFunction, MapBatches, available_cores

if TYPE_CHECKING:
    from types import ModuleType

# Batches are handed over in windows, so that neither this process nor the cluster's object store
# holds a community's posts at once.
WINDOW: Final = 256


@contextmanager
def ray_map(workers: int | None = None) -> Iterator[MapBatches]:
    """Provide what maps functions over batches on Ray Data.

    Uses the Ray that this process is connected to, else the cluster that `RAY_ADDRESS` names,
    else starts one on this machine, on loopback, with `workers` cores, and ends it. Raises
    ValueError where Ray is not installed.
    """
    ray = _ray()
    started = not ray.is_initialized()
    if started:
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if "RAY_ADDRESS" in os.environ:
            ray.init(**quiet)
        else:
            ray.init(
                num_cpus=workers or available_cores(),
                include_dashboard=False,
                _node_ip_address="127.0.0.1",
                **quiet,
            )
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        yield _map
    finally:
        if started:
            ray.shutdown()


def _map(function: BatchFunction, batches: Iterable[pa.RecordBatch], /) -> Iterator[pa.RecordBatch]:
    """Apply a function to each batch, one task a batch, and yield the results in order.

    A single batch is worked on here: handing it over takes longer.
    """
    ray = _ray()

    def on_table(table: pa.Table) -> pa.Table:
        (batch,) = table.combine_chunks().to_batches()
        return pa.Table.from_batches([function(batch)])

    for window in _windows(batches):
        if len(window) == 1:
            yield function(window[0])
            continue
        tables = [pa.Table.from_batches([batch]) for batch in window]
        results = ray.data.from_arrow(tables).map_batches(
            on_table, batch_size=None, batch_format="pyarrow", zero_copy_batch=True
        )
        for table in results.iter_batches(batch_size=None, batch_format="pyarrow"):
            yield from table.to_batches()


def _windows(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[pa.RecordBatch, ...]]:
    source = iter(batches)
    for first in source:
        yield tuple(chain((first,), islice(source, WINDOW - 1)))


def _ray() -> ModuleType:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray.data
    except ImportError as error:
        raise ValueError(
            "the engine ray needs Ray, which is not installed: pip install 'madang[cluster]'"
        ) from error
    ray_module: ModuleType = ray
    return ray_module
