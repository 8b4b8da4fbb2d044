"""`madang train` and `madang train inspect`."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from madang.cli.options import HomeOption, JsonOption
from madang.cli.output import print_json, say
from madang.cli.training_output import TrainingDisplay, plan_lines
from madang.home import Home, TrainOptions, Watcher
from madang.home.train_options import SCRATCH

if TYPE_CHECKING:
    from madang.training.plan import Plan

app = typer.Typer(help="Train a model from the home's posts, and publish it.")


class Method(StrEnum):
    """What is changed: all weights, or adapters beside them."""

    full = "full"
    lora = "lora"


class Objective(StrEnum):
    """What is learned: the next token, answers, or which of two answers is better."""

    pretrain = "pretrain"
    sft = "sft"
    dpo = "dpo"


class Emit(StrEnum):
    """Engines that a plan can be handed over to."""

    torchtitan = "torchtitan"


# Options of the command line that are fields of the plan, with the field's name.
_FIELDS: Final[Mapping[str, str]] = {
    "rank": "lora_rank",
    "batch": "rows",
    "learning_rate": "matrix_rate",
}


@app.callback(invoke_without_command=True)
def train(
    context: typer.Context,
    home: HomeOption = None,
    base: Annotated[
        str, typer.Option("--from", help="scratch, smollm2, a release, a .gguf or a HF folder.")
    ] = SCRATCH,
    method: Annotated[
        Method | None, typer.Option(help="full: all weights; lora: adapters. Else by --from.")
    ] = None,
    objective: Annotated[Objective, typer.Option(help="What is learned.")] = Objective.pretrain,
    data: Annotated[
        Path | None, typer.Option(help="JSON lines of messages, preferences or posts.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="How long it may take; 5 where nothing is said.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Exactly so many steps instead.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bits.")] = 0,
    name: Annotated[str | None, typer.Option(help="What the run is called.")] = None,
    resume: Annotated[str | None, typer.Option(help="Go on with this run.")] = None,
    plan: Annotated[Path | None, typer.Option(help="Replay the plan of this file.")] = None,
    replay: Annotated[
        Path | None, typer.Option(help="Posts or texts to mix in against forgetting.")
    ] = None,
    replay_share: Annotated[float | None, typer.Option(help="Their share of the tokens.")] = None,
    width: Annotated[int | None, typer.Option(help="The model's width.")] = None,
    layers: Annotated[int | None, typer.Option("--layers", "--depth", help="Its depth.")] = None,
    vocabulary: Annotated[int | None, typer.Option(help="Tokens of the vocabulary.")] = None,
    length: Annotated[int | None, typer.Option(help="Tokens of a row.")] = None,
    batch: Annotated[int | None, typer.Option(help="Rows of a step.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Of the matrices.")] = None,
    rank: Annotated[int | None, typer.Option(help="Of the adapters.")] = None,
    threads: Annotated[int | None, typer.Option(help="Processor threads to use.")] = None,
    publish: Annotated[
        bool, typer.Option("--publish/--no-publish", help="Publish the model when it is trained.")
    ] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print the plan.")] = False,
    emit: Annotated[Emit | None, typer.Option(help="Hand the plan over instead.")] = None,
    out: Annotated[Path | None, typer.Option(help="The folder of --emit.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Train a model from the home's posts, and publish it.

    Ctrl-C ends it soon, with a model that can be used; pressed twice, at once, to be resumed.
    """
    if context.invoked_subcommand is not None:
        return
    by_hand = {
        _FIELDS.get(option, option): value
        for option, value in (
            ("width", width),
            ("layers", layers),
            ("vocabulary", vocabulary),
            ("length", length),
            ("batch", batch),
            ("learning_rate", learning_rate),
            ("rank", rank),
        )
        if value is not None
    }
    options = TrainOptions(
        base=base,
        method=None if method is None else method.value,
        objective=objective.value,
        data=None if data is None else str(data),
        minutes=minutes,
        steps=steps,
        seed=seed,
        name=name,
        resume=resume,
        plan=None if plan is None else str(plan),
        replay=None if replay is None else str(replay),
        replay_share=replay_share,
        publish=publish,
        threads=threads,
        overrides=by_hand,
    )
    pin_threads(threads)
    with Home(home) as opened:
        if emit is not None:
            _emit(opened, options, out, as_json)
        elif dry_run:
            _dry_run(opened, options, as_json)
        else:
            _train(opened, options, as_json)


@app.command("inspect")
def train_inspect(
    data: Annotated[Path, typer.Argument(help="JSON lines of messages or preferences.")],
    base: Annotated[
        str, typer.Option("--from", help="The model whose tokens are shown.")
    ] = "smollm2",
    length: Annotated[int | None, typer.Option(help="Tokens of a row.")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show which tokens of a file of examples would be trained, and which lines are wrong."""
    with Home(home) as opened:
        found = opened.learning.inspect(data, base, length=length)
    if as_json:
        print_json(found.to_json())
        return
    from madang.cli.output import people
    from madang.training.inspecting import as_plain, as_rich

    if people.is_terminal:
        people.print(as_rich(found))
    else:
        typer.echo(as_plain(found))


def pin_threads(threads: int | None) -> None:
    """Set what must stand in the environment before torch is imported."""
    from madang.training.pinning import prepare_process

    prepare_process()
    if threads is not None:
        os.environ.update({"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)})


def _train(home: Home, options: TrainOptions, as_json: bool) -> None:
    with _ended_gently() as stop, TrainingDisplay() as display:
        watcher = display.watcher(stop)
        report = home.learning.train(options, watcher)
    if os.environ.get("RANK", "0") != "0":
        return
    if as_json:
        print_json(report.to_dict())
        return
    say(display.summary(report))


def _dry_run(home: Home, options: TrainOptions, as_json: bool) -> None:
    with TrainingDisplay() as display:
        plan = home.learning.plan(options, Watcher(stage=display.stage, curating=display.curating))
    if as_json:
        print_json(_plain(plan))
        return
    for line in plan_lines(plan):
        typer.echo(line)


def _emit(home: Home, options: TrainOptions, out: Path | None, as_json: bool) -> None:
    if out is None:
        raise ValueError("say where it goes: --out FOLDER")
    with TrainingDisplay() as display:
        handover = home.learning.emit_torchtitan(
            options, out, Watcher(stage=display.stage, curating=display.curating)
        )
    if as_json:
        print_json(handover)
    else:
        say(f"torchtitan can train it from {out}; {out / 'README.md'} says how")


def _plain(plan: Plan) -> dict[str, Any]:
    import orjson

    data: dict[str, Any] = orjson.loads(plan.to_json())
    return data


@contextmanager
def _ended_gently() -> Iterator[threading.Event]:
    """Let the first Ctrl-C end the run with its decay, and the second one at once."""
    stop = threading.Event()
    before: Any = signal.getsignal(signal.SIGINT)

    def ask(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            signal.signal(signal.SIGINT, before)
            raise KeyboardInterrupt
        stop.set()
        say("ending soon, with a model that can be used; Ctrl-C again ends at once")

    handler: Callable[[int, FrameType | None], None] = ask
    signal.signal(signal.SIGINT, handler)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)
