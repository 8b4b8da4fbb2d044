"""What a person does with models of a home's posts: train, look, publish, ask which posts.

Everything that needs the packages for training is imported when it is used: a home opens
without them, and what cannot be done then says so in one sentence.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from madang.home.folder import Folder
from madang.home.purging import write_cursor
from madang.home.run_files import RunFiles, read_run, run_files
from madang.home.train_bases import find_base
from madang.home.train_measuring import measure, texts_of
from madang.home.train_options import (
    NothingToLearnError,
    Stage,
    TrainingReport,
    TrainOptions,
    Watcher,
)
from madang.home.train_sources import Source, batches_of
from madang.home.training_extra import TrainingUnavailableError, require_training
from madang.home.training_run import Prepared, TrainingRun
from madang.posts import PostLog

if TYPE_CHECKING:
    from madang.corpus.curated import Curated
    from madang.corpus.lineage import PostPart
    from madang.evaluation import ModelEvaluation
    from madang.release import Release
    from madang.training.inspecting import Inspection
    from madang.training.plan import Plan

__all__ = [
    "Learning",
    "NothingToLearnError",
    "Seen",
    "Stage",
    "TrainOptions",
    "TrainingReport",
    "TrainingUnavailableError",
    "Watcher",
]

# How long other ranks wait for the first one to curate and tokenize.
PREPARING: Final = timedelta(hours=12)
_KEY: Final = "madang/prepared"
_NOBODY: Final = Watcher()


@dataclass(frozen=True, slots=True)
class Seen:
    """Where a run saw a post: steps from 1 on, and the kept checkpoints that know it.

    `release` is what the run was published as, which knows the post where any step saw it.
    """

    run: str
    steps: tuple[int, ...]
    checkpoints: tuple[int, ...]
    release: str | None


class Learning:
    """Models of one home's posts; `Home.learning` is one."""

    def __init__(self, folder: Folder, log: PostLog) -> None:
        """Work in the home's folder, on the posts of its log. Nothing is imported yet."""
        self._folder = folder
        self._log = log

    # -- training ----------------------------------------------------------------------------

    def train(self, options: TrainOptions, watcher: Watcher = _NOBODY) -> TrainingReport:
        """Train a model and publish it; returns what `train --json` prints.

        Ended by `watcher.stop` or KeyboardInterrupt it leaves a run that can be resumed. Raises
        TrainingUnavailableError, NothingToLearnError, ValueError in one sentence, OSError where
        the disk is full, and ReleaseRefusedError where an export is not the model.
        """
        run = self._run(options, watcher)
        prepared = _decided_by_first(run.prepare)
        result = run.train(prepared)
        return run.finish(result, prepared, first=is_first_rank())

    def plan(self, options: TrainOptions, watcher: Watcher = _NOBODY) -> Plan:
        """Return the plan that `train` would follow, without training or writing tokens."""
        return self._run(options, watcher).outline()

    def curate(self, options: TrainOptions | None = None, watcher: Watcher = _NOBODY) -> Curated:
        """Curate the home's posts into a corpus, or open the one that stands."""
        return self._run(options or TrainOptions(), watcher).curate()

    def emit_torchtitan(
        self, options: TrainOptions, out: Path, watcher: Watcher = _NOBODY
    ) -> dict[str, Any]:
        """Write a plan, its tokens and its tokenizer so that torchtitan trains the same.

        Raises ValueError for a plan that torchtitan cannot follow.
        """
        # How far another engine on other machines comes, nobody measured here.
        options = replace(options, overrides={**options.overrides, "corpus_share": 1.0})
        prepared, _ = self._run(options, watcher).decide()

        from madang.training.torchtitan import emit

        handover = emit(prepared.plan, batches_of(prepared.plan, prepared.source), out)
        return {name: str(value) for name, value in asdict(handover).items()}

    def inspect(
        self, data: Path, base: str = "smollm2", *, length: int | None = None
    ) -> Inspection:
        """Say which tokens of a file of conversations or preferences would be trained."""
        require_training()
        from madang.home.train_sources import END_OF_MESSAGE, encoder
        from madang.training.inspecting import inspect

        found = find_base(base, self._folder)
        if found is None:
            raise ValueError("a model that is not there yet has no tokens to show; give --from")
        tokenizer = found.tokenizer
        end = tokenizer.special.get(END_OF_MESSAGE, tokenizer.end_of_text)
        return inspect(data, encoder(tokenizer), tokenizer, end=end, length=length)

    # -- runs and releases -------------------------------------------------------------------

    def runs(self) -> list[RunFiles]:
        """Return the runs of the home, newest first; needs no packages for training."""
        return run_files(self._folder.runs)

    def run(self, name: str) -> RunFiles:
        """Return one run. Raises ValueError where there is none of that name."""
        found = read_run(self._folder.runs, name)
        if found is None:
            raise ValueError(f"there is no run {name!r}; `madang runs` lists them")
        return found

    def release(
        self,
        run: str,
        *,
        name: str | None = None,
        formats: Sequence[str] | None = None,
        watcher: Watcher = _NOBODY,
    ) -> Release:
        """Publish a run in every format, each proven. Raises ReleaseRefusedError, ValueError."""
        require_training()
        _pin()
        from madang.release import FORMATS, publish

        watcher.stage(Stage("publish", run))
        return publish(
            self.run(run).folder,
            self._folder.releases,
            name=name,
            formats=tuple(formats) if formats else FORMATS,  # type: ignore[arg-type]
            progress=watcher.publishing,
        )

    def releases(self) -> list[Release]:
        """Return the releases of the home, newest first."""
        require_training()
        from madang.release import list_releases

        return list_releases(self._folder.releases)

    def evaluate(
        self, model: str, *, max_tokens: int | None = None, watcher: Watcher = _NOBODY
    ) -> ModelEvaluation:
        """Measure a model (`smollm2`, a release, a path) on future posts and on general text.

        Where the home has no posts to measure on, only general text is.
        """
        require_training()
        _pin()
        base = find_base(model, self._folder)
        if base is None:
            raise ValueError("there is nothing to measure in a model that has not been trained")
        try:
            curated: Path | None = self.curate(watcher=watcher).folder
        except NothingToLearnError as error:
            watcher.note(str(error))
            curated = None
        watcher.stage(Stage("evaluate"))
        return measure(base.load(), base.tokenizer, texts_of(curated), max_tokens)

    # -- lineage -----------------------------------------------------------------------------

    def posts_of_step(self, run: str, step: int) -> list[PostPart]:
        """Return the posts that a step of a run saw; steps count from 1, as in its metrics.

        Raises ValueError where the run or its corpus is gone, or it has no such step.
        """
        require_training()
        from madang.corpus.lineage import posts_of_step

        folder = self.run(run).folder
        last = _steps_of(folder)
        if not 1 <= step <= last:
            raise ValueError(f"{run} has the steps 1 to {last}, not {step}")
        return posts_of_step(batches_of(_plan_of(folder), Source.read(folder)), step - 1)

    def where(self, post: str) -> list[Seen]:
        """Return the runs that saw a post, newest first, with their steps and checkpoints.

        Runs whose corpus is gone, because a post in it was erased, say nothing any more.
        """
        require_training()
        from madang.corpus.lineage import steps_of_post

        found = []
        for run in self.runs():
            try:
                batches = batches_of(_plan_of(run.folder), Source.read(run.folder))
            except ValueError:
                continue
            steps = [step + 1 for step in steps_of_post(batches, post, _steps_of(run.folder))]
            if steps:
                kept = _checkpoints_of(run.folder)
                knowing = tuple(one for one in kept if one >= steps[0])
                release = run.state.get("release")
                found.append(Seen(run.name, tuple(steps), knowing, release))
        return found

    # -- inside ------------------------------------------------------------------------------

    def _run(self, options: TrainOptions, watcher: Watcher) -> TrainingRun:
        require_training()
        _pin()
        if not self._folder.corpus.is_dir():
            self._folder.corpus.mkdir(parents=True)
            write_cursor(self._folder.corpus, self._log.last_seq)
        return TrainingRun(self._folder, self._log, options, watcher)


def is_first_rank() -> bool:
    """Return whether this process is the one that reports, of those that `torchrun` started."""
    return os.environ.get("RANK", "0") == "0"


def _decided_by_first(prepare: Callable[[], Prepared]) -> Prepared:
    """Let the first rank prepare a run, and tell the others by way of their rendezvous.

    A process group would not do: the run opens one of its own, and two cannot share a store.
    """
    if os.environ.get("WORLD_SIZE", "1") == "1":
        return prepare()
    from torch.distributed.rendezvous import rendezvous

    store, rank, _ = next(iter(rendezvous("env://")))
    store.set_timeout(PREPARING)
    if rank == 0:
        prepared = prepare()
        store.set(_KEY, prepared.to_json())
        return prepared
    return Prepared.from_json(store.get(_KEY).decode())


def _pin() -> None:
    from madang.training.pinning import prepare_process

    prepare_process()


def _plan_of(run: Path) -> Plan:
    from madang.training.plan import read_plan

    return read_plan(run)


def _steps_of(run: Path) -> int:
    last = read_run(run.parent, run.name)
    newest = last.curve().last if last is not None else None
    return int(newest["step"]) if newest else 0


def _checkpoints_of(run: Path) -> list[int]:
    folders = (run / "checkpoints").glob("step-*")
    whole = [one.name for one in folders if (one / "state.json").is_file()]
    return sorted(int(name.removeprefix("step-")) for name in whole)
