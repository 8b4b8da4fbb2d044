"""`madang runs`, `release`, `releases`, `corpus`, `eval`: what was learned, and from what."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from madang.cli.options import HomeOption, JsonOption
from madang.cli.output import print_json, say
from madang.cli.training import pin_threads
from madang.cli.training_output import TrainingDisplay
from madang.home import Home, TrainOptions, Watcher
from madang.home.releases import published_models
from madang.home.run_files import RunFiles

runs_app = typer.Typer(help="Runs: list them, and compare two or more.")
corpus_app = typer.Typer(help="What models learn from: posts, steps, and which saw which.")
eval_app = typer.Typer(help="Measure a model.")


class Engine(StrEnum):
    """What curates: this machine's cores, or a Ray cluster."""

    local = "local"
    ray = "ray"


@runs_app.callback(invoke_without_command=True)
def runs(context: typer.Context, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """List the runs of the home, newest first."""
    if context.invoked_subcommand is None:
        _list_runs(home, as_json)


@runs_app.command("list")
def runs_list(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """List the runs of the home, newest first."""
    _list_runs(home, as_json)


@runs_app.command("compare")
def runs_compare(
    names: Annotated[list[str], typer.Argument(help="Two runs or more.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare runs: where their plans differ, and how their curves go."""
    if len(names) < 2:
        raise ValueError("name two runs or more to compare; `madang runs` lists them")
    with Home(home) as opened:
        found = [opened.learning.run(name) for name in names]
    compared = compare(found)
    if as_json:
        print_json(compared)
        return
    for line in comparison_lines(compared, names):
        typer.echo(line)


def release(
    run: Annotated[str, typer.Argument(help="The run to publish.")],
    name: Annotated[str | None, typer.Option(help="The release's name, else the run's.")] = None,
    formats: Annotated[
        list[str] | None, typer.Option("--format", help="Only this format; may be repeated.")
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Publish a run: export it for every engine, and prove that each export is the model."""
    pin_threads(None)
    with Home(home) as opened, TrainingDisplay() as display:
        watcher = Watcher(stage=display.stage, publishing=display.publishing)
        made = opened.learning.release(run, name=name, formats=formats, watcher=watcher)
    if as_json:
        print_json(
            {
                "release": made.name,
                "path": str(made.folder.absolute()),
                "files": {
                    file: {"bytes": one.bytes, "sha256": one.sha256}
                    for file, one in made.files.items()
                },
                "checks": {
                    check: {"ok": one.ok, "value": one.value} for check, one in made.checks.items()
                },
            }
        )
        return
    say(f"{made.name} is in {made.folder}; {len(made.checks)} checks passed")


def releases(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """List the releases of the home, newest first, and which of them speaks."""
    with Home(home) as opened:
        found = published_models(opened.folder.releases)
        speaks = opened.model.speaks
        own = opened.names.own
    if as_json:
        listed = [{**one.card, "speaks": one.name == speaks} for one in found]
        print_json({"speaks": speaks, "releases": listed})
        return
    for one in found:
        mark = "  speaks" if one.name == speaks else ""
        parameters = one.card.get("parameters") or 0
        typer.echo(
            f"{one.created_at[:16].replace('T', ' ')}  {one.name}  {parameters / 1e6:,.1f} M, "
            f"from {one.card.get('base') or 'scratch'}{mark}"
        )
    if speaks == own:
        say(f"{own} speaks here")


@corpus_app.command("build")
def corpus_build(
    engine: Annotated[Engine, typer.Option(help="local, or ray on a cluster.")] = Engine.local,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; else all cores.")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Curate the posts that may be trained on: a decision with its reasons for every post."""
    with Home(home) as opened, TrainingDisplay() as display:
        watcher = Watcher(stage=display.stage, curating=display.curating)
        made = opened.learning.curate(TrainOptions(workers=workers, engine=engine.value), watcher)
    if as_json:
        print_json(
            {
                "folder": str(made.folder.absolute()),
                "fingerprint": made.fingerprint,
                "counts": dict(made.counts),
            }
        )
        return
    say(f"{made.folder}: {_counted(made.counts)}")


@corpus_app.command("which")
def corpus_which(
    run: Annotated[str, typer.Option(help="The run.")],
    step: Annotated[int, typer.Option(help="A step, from 1 on.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the posts that a step of a run saw, with the tokens of each."""
    with Home(home) as opened:
        parts = opened.learning.posts_of_step(run, step)
    if as_json:
        posts = [
            {
                "post": one.post,
                "document": one.document,
                "replay": one.replay,
                "start": one.start,
                "end": one.end,
                "row": one.row,
                "column": one.column,
            }
            for one in parts
        ]
        print_json({"run": run, "step": step, "posts": posts})
        return
    for one in parts:
        typer.echo(f"row {one.row:3}  tokens {one.start:5} to {one.end:5}  {one.post}")
    say(f"{len({one.post for one in parts}):,} posts in step {step:,} of {run}")


@corpus_app.command("where")
def corpus_where(
    post: Annotated[str, typer.Argument(help="The id of the post.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the runs, steps, checkpoints and releases that saw a post."""
    with Home(home) as opened:
        seen = opened.learning.where(post)
    if as_json:
        found = [
            {
                "run": one.run,
                "steps": list(one.steps),
                "checkpoints": list(one.checkpoints),
                "release": one.release,
            }
            for one in seen
        ]
        print_json({"post": post, "runs": found})
        return
    for one in seen:
        typer.echo(f"{one.run}: steps {_ranges(one.steps)}")
        if one.checkpoints:
            typer.echo(f"  checkpoints {_ranges(one.checkpoints)}")
        if one.release:
            typer.echo(f"  release {one.release}")
    if not seen:
        say("no run that is here has seen it")


@eval_app.command("model")
def eval_model(
    model: Annotated[
        str, typer.Argument(help="smollm2, a release, a .gguf file or a folder.")
    ] = "smollm2",
    tokens: Annotated[
        int | None, typer.Option(min=1, help="Look at no more of each kind of text.")
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Report bits per byte on the newest posts and on general text, by language and depth."""
    pin_threads(None)
    with Home(home) as opened, TrainingDisplay() as display:
        watcher = Watcher(stage=display.stage, curating=display.curating, note=say)
        found = opened.learning.evaluate(model, max_tokens=tokens, watcher=watcher)
    data: dict[str, Any] = {"model": model, **found.to_json()}
    if as_json:
        print_json(data)
        return
    for line in evaluation_lines(data):
        typer.echo(line)


def compare(found: Sequence[RunFiles]) -> dict[str, Any]:
    """Return what differs between the plans of runs, and where their curves came to."""
    plans = [dict(one.plan) for one in found]
    names = dict.fromkeys(name for plan in plans for name in plan)
    differing = {
        name: [plan.get(name) for plan in plans]
        for name in names
        if name not in ("reasons", "decays") and len({str(plan.get(name)) for plan in plans}) > 1
    }
    return {"runs": [_summary(one) for one in found], "differences": differing}


def comparison_lines(compared: dict[str, Any], names: Sequence[str]) -> Iterator[str]:
    """Lay a comparison out for a terminal."""
    rows = [("", list(names))]
    rows += [
        (name, [_figure(run[name]) for run in compared["runs"]])
        for name in ("state", "steps", "seconds", "tokens", "bits_per_byte", "future", "general")
    ]
    rows += [(name, [_figure(value) for value in v]) for name, v in compared["differences"].items()]
    first = max(len(name) for name, _ in rows)
    widths = [max(len(row[1][n]) for row in rows) for n in range(len(names))]
    for name, values in rows:
        cells = (f"{value:{width}}" for value, width in zip(values, widths, strict=True))
        yield f"{name:{first}}  {'  '.join(cells)}".rstrip()


def evaluation_lines(data: dict[str, Any]) -> Iterator[str]:
    """Lay an evaluation out for a terminal."""
    for kind in ("future", "general"):
        whole = data[kind]
        if whole["bits_per_byte"] is None:
            yield f"{kind:8} nothing to measure on"
            continue
        yield f"{kind:8} {_measured(whole)}"
        for by in ("by_language", "by_depth"):
            for name, figure in whole[by].items():
                label = name if by == "by_language" else f"depth {name}"
                yield f"  {label:10} {_measured(figure)}"


def _list_runs(home: Path | None, as_json: bool) -> None:
    with Home(home) as opened:
        found = opened.learning.runs()
    if as_json:
        print_json({"runs": [_summary(one) for one in found]})
        return
    for one in found:
        told = _summary(one)
        bits = _figure(told["bits_per_byte"])
        release = f"  release {told['release']}" if told["release"] else ""
        why = f"  ({told['detail']})" if told["detail"] else ""
        typer.echo(
            f"{one.name}  {told['state']:8}  from {told['base']}, {told['method'] or '?'}, "
            f"{told['objective'] or '?'}  {told['steps'] or 0:,} steps, {bits} bits/byte"
            f"{release}{why}"
        )
    if not found:
        say("no model has learned here yet; `madang train` begins one")


def _summary(run: RunFiles) -> dict[str, Any]:
    curve = run.curve()
    last = curve.last or {}
    measured = curve.evaluations[-1] if curve.evaluations else {}
    return {
        **run.summary(),
        "steps": last.get("step"),
        "seconds": last.get("seconds"),
        "tokens": last.get("tokens"),
        "bits_per_byte": curve.points[-1]["bits_per_byte"] if curve.points else None,
        "future": measured.get("future"),
        "general": measured.get("general"),
    }


def _figure(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _measured(figure: dict[str, Any]) -> str:
    interval = figure.get("interval")
    spread = f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else ""
    return (
        f"{figure['bits_per_byte']:.4f} bits per byte{spread} over {figure['documents']:,} "
        f"documents, {figure['bytes']:,} bytes"
    )


def _counted(counts: Any) -> str:
    flat = [f"{value:,} {name}" for name, value in counts.items() if isinstance(value, int)]
    return ", ".join(flat)


def _ranges(numbers: Sequence[int]) -> str:
    """Write growing numbers as ranges: `1-3, 7`."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and parts[-1][-1] == number - 1:
            parts[-1][-1:] = [number] if len(parts[-1]) > 1 else [parts[-1][0], number]
        else:
            parts.append([number])
    return ", ".join("-".join(f"{one:,}" for one in part) for part in parts)
