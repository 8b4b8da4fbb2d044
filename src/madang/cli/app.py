"""The verbs."""

from __future__ import annotations

import logging
import signal
import sqlite3
import sys
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer

from madang.answer import Finished, Request, SentenceChecked, Turn
from madang.cli import batch, consent, runs, training
from madang.cli.options import HomeOption, JsonOption, ModelOption, open_home
from madang.cli.output import (
    answer_lines,
    ingest_line,
    post_line,
    print_json,
    progress_bar,
    say,
)
from madang.engines import EngineError
from madang.home import (
    Home,
    StoppedError,
    TrainingUnavailableError,
    ingest_sample,
    locate,
    remove_sample,
)
from madang.home.brake import Brake
from madang.home.installing import Installing
from madang.posts import DamagedLogError, NewerLogError
from madang.search import Filters, parse_moment

app = typer.Typer(
    name="madang",
    help="A community's posts become a chat whose every sentence can be opened.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(consent.app, name="consent", no_args_is_help=True)
app.add_typer(training.app, name="train")
app.add_typer(runs.runs_app, name="runs")
app.add_typer(runs.corpus_app, name="corpus", no_args_is_help=True)
app.add_typer(runs.eval_app, name="eval", no_args_is_help=True)
app.command("release")(runs.release)
app.command("releases")(runs.releases)

BatchOption = Annotated[
    Path | None, typer.Option("--batch", help="JSON lines to work through, loading once.")
]
OutOption = Annotated[Path | None, typer.Option("--out", help="Where the batch's results go.")]
HostOption = Annotated[str, typer.Option(help="The address to listen on.")]
PortOption = Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free port.")]
WorkersOption = Annotated[int, typer.Option(min=1, help="Answers that are made at once.")]
QueueOption = Annotated[int, typer.Option(min=0, help="Questions that may wait.")]
LearnOption = Annotated[
    float, typer.Option(min=0, help="Minutes in which the community's model learns; 0: none.")
]
LearnInstallOption = Annotated[
    str | None,
    typer.Option(
        metavar="COMMAND", help="Installs what training needs; run once the page is served."
    ),
]

_SAID_IN_ONE_SENTENCE: Final = (
    "TrainingFailedError",
    "ReleaseRefusedError",
    "PostsWithdrawnError",
)


@app.command()
def up(
    posts: Annotated[
        list[Path] | None, typer.Argument(help="Archives or files of posts; else the sample.")
    ] = None,
    home: HomeOption = None,
    model: ModelOption = None,
    host: HostOption = "127.0.0.1",
    port: PortOption = 8080,
    workers: WorkersOption = 2,
    queue: QueueOption = 32,
    learn: LearnOption = 0,
    learn_install: LearnInstallOption = None,
) -> None:
    """Read posts and serve the chat page. Without posts, the sample community is read.

    With --learn, a model of the community's own learns from the posts in the background as soon
    as the packages for training are installed, and answers when it has passed its checks.
    """
    with open_home(home, model) as opened:
        if posts:
            removed = remove_sample(opened)
            if removed:
                say(f"the sample community was removed ({removed} posts)")
            for path in posts:
                with progress_bar(path.name) as progress:
                    report = opened.ingest(path, progress=progress)
                say(ingest_line(path.name, report))
        elif opened.log.last_seq == 0:
            say(ingest_line("sample community", ingest_sample(opened)))
        installing = Installing(learn_install) if learn > 0 and learn_install else None
        try:
            _serve(opened, host, port, workers, queue, learn, installing)
        finally:
            if installing is not None:
                installing.close()


@app.command()
def serve(
    home: HomeOption = None,
    model: ModelOption = None,
    host: HostOption = "127.0.0.1",
    port: PortOption = 8080,
    workers: WorkersOption = 2,
    queue: QueueOption = 32,
    learn: LearnOption = 0,
) -> None:
    """Serve the chat page and the API over the posts that the home holds."""
    with open_home(home, model) as opened:
        _serve(opened, host, port, workers, queue, learn)


@app.command()
def ingest(
    path: Annotated[Path, typer.Argument(help="An archive, file or folder of posts.")],
    home: HomeOption = None,
    source: Annotated[
        str | None, typer.Option(help="Makes the ids of this file unique: NAME:id.")
    ] = None,
    columns: Annotated[
        str | None, typer.Option("--map", help="field=column,… such as text=review,id=review_id")
    ] = None,
    grant: Annotated[
        str | None, typer.Option(help="Purposes that are granted: search,ground,embed,train,…")
    ] = None,
    basis: Annotated[str | None, typer.Option(help="Why these purposes may be granted.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Read posts into the home. Reading the same file twice changes nothing."""
    with Home(home) as opened:
        with progress_bar(path.name) as progress:
            report = opened.ingest(
                path,
                source=source,
                columns=batch.parse_map(columns),
                grant=grant,
                basis=basis,
                progress=progress,
            )
        if as_json:
            print_json(report.to_dict())
        else:
            say(ingest_line(path.name, report))


@app.command()
def search(
    query: Annotated[
        str | None, typer.Argument(help="Words, and from: since: until: lang:")
    ] = None,
    home: HomeOption = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 10,
    newest: Annotated[bool, typer.Option("--newest", help="Newest first.")] = False,
    author: Annotated[list[str] | None, typer.Option(help="Only posts of this author.")] = None,
    since: Annotated[str | None, typer.Option(help="Only posts from this day on.")] = None,
    until: Annotated[str | None, typer.Option(help="Only posts before this day.")] = None,
    lang: Annotated[list[str] | None, typer.Option(help="Only posts in this language.")] = None,
    source: Annotated[list[str] | None, typer.Option(help="Only posts of this source.")] = None,
    thread: Annotated[str | None, typer.Option(help="Only posts of this thread.")] = None,
    batch_file: BatchOption = None,
    out: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find posts."""
    with Home(home) as opened:
        opened.catch_up()
        if batch_file is not None:
            _run_batch(batch_file, out, batch.search_line(opened, limit), as_json)
            return
        if query is None:
            raise ValueError("say what to search for, or give --batch FILE")
        result = opened.search(
            query,
            limit=limit,
            filters=Filters(
                authors=tuple(author or ()),
                langs=tuple(lang or ()),
                sources=tuple(source or ()),
                since=parse_moment("since", since) if since else None,
                until=parse_moment("until", until) if until else None,
                thread=thread,
            ),
            order="newest" if newest else "relevance",
        )
        if as_json:
            print_json(result.to_dict())
            return
        for hit in result.hits:
            typer.echo(post_line(hit.post))
        say(f"{len(result.hits)} posts in {result.took_ms:.1f} ms")


@app.command()
def ask(
    question: Annotated[
        str | None, typer.Argument(help="A question, in Korean or English.")
    ] = None,
    home: HomeOption = None,
    model: ModelOption = None,
    only: Annotated[list[str] | None, typer.Option(help="Cite only this post.")] = None,
    batch_file: BatchOption = None,
    out: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Answer a question from the posts, with citations that were checked."""
    with open_home(home, model) as opened:
        opened.catch_up()
        if batch_file is not None:
            _run_batch(batch_file, out, batch.ask_line(opened), as_json)
            return
        if question is None:
            raise ValueError("say what to ask, or give --batch FILE")
        answer = opened.ask(question, only=tuple(only) if only else None)
        if as_json:
            print_json(answer.to_dict())
            return
        for line in answer_lines(answer):
            typer.echo(line)


@app.command()
def chat(home: HomeOption = None, model: ModelOption = None) -> None:
    """Talk in the terminal; an empty line or Ctrl-D ends it. An AI answers."""
    with open_home(home, model) as opened:
        opened.catch_up()
        say("An AI answers, from the posts of this home. AI가 이 마당의 글로 답합니다.")
        history: tuple[Turn, ...] = ()
        while question := _prompt():
            for step in opened.steps(Request(question, history)):
                if isinstance(step, Finished):
                    for line in answer_lines(step.answer):
                        typer.echo(line)
                    history = (
                        *history,
                        Turn("user", question),
                        Turn("assistant", step.answer.text),
                    )
                elif isinstance(step, SentenceChecked):
                    say("…")
            typer.echo("")


@app.command()
def forget(
    post: Annotated[str | None, typer.Argument(help="The id of the post.")] = None,
    author: Annotated[str | None, typer.Option(help="Every post of this author instead.")] = None,
    source: Annotated[str | None, typer.Option(help="Where that author writes.")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Erase a post, or an author, for good; importing it again does not bring it back."""
    if (post is None) == (author is None):
        raise ValueError("name one post, or one author with --author")
    with Home(home) as opened:
        if post is not None:
            outcome = opened.forget(post)
        else:
            assert author is not None
            outcome = opened.forget_author(author, source)
        if as_json:
            print_json({"post": post, "author": author, "outcome": outcome})
        else:
            say("it was erased before" if outcome == "unchanged" else "erased")


@app.command()
def rebuild(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Make the search index again from the log."""
    with Home(home) as opened:
        posts = opened.rebuild()
        if as_json:
            print_json({"posts": posts})
        else:
            say(f"{posts:,} posts indexed")


@app.command()
def stop(home: HomeOption = None) -> None:
    """Pull the emergency brake: within a second nothing is generated any more."""
    Brake(locate(home).brake).pull()
    say("stopped; `madang start` ends that")


@app.command()
def start(home: HomeOption = None) -> None:
    """Release the emergency brake."""
    Brake(locate(home).brake).release()
    say("answering again")


def main() -> NoReturn:
    """Run the command line; errors are one sentence and a non-zero exit."""
    logging.basicConfig(level=logging.WARNING, format="madang: %(message)s")
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except (
        DamagedLogError,
        NewerLogError,
        StoppedError,
        EngineError,
        TrainingUnavailableError,
    ) as error:
        _fail(str(error))
    except sqlite3.DatabaseError as error:
        _fail(f"the log could not be read or written ({error}); is the disk full or damaged?")
    except FileNotFoundError as error:
        _fail(f"{error.filename}: there is no such file")
    except (ValueError, TimeoutError, OSError) as error:
        _fail(str(error))
    except Exception as error:
        # These have a sentence of their own; importing their rooms needs the training extra.
        if type(error).__name__ not in _SAID_IN_ONE_SENTENCE:
            raise
        _fail(str(error))
    sys.exit(0)


def _fail(sentence: str) -> NoReturn:
    say(f"madang: {sentence}")
    sys.exit(1)


def _serve(
    home: Home,
    host: str,
    port: int,
    workers: int,
    queue: int,
    learn_minutes: float,
    installing: Installing | None = None,
) -> None:
    # Only serving needs the web framework, and importing it takes as long as a search.
    from madang.server import serve as serve_home

    def on_listening(url: str) -> None:
        say(f"madang is at {url}  (Ctrl-C ends it)")
        if installing is not None:
            installing.start()

    serve_home(
        home,
        host=host,
        port=port,
        workers=workers,
        queue=queue,
        learn_minutes=learn_minutes,
        on_listening=on_listening,
    )


def _run_batch(path: Path, out: Path | None, work: batch.Work, as_json: bool) -> None:
    if out is None:
        raise ValueError("say where the results go: --out FILE")
    summary: dict[str, Any] = batch.run(path, out, work)
    if as_json:
        print_json(summary)
    else:
        say(f"{summary['lines']:,} lines in {summary['seconds']:.1f} s, in {out}")


def _prompt() -> str:
    try:
        return input("> ").strip()
    except EOFError:
        return ""
