"""`madang consent`: what may be done with a post, and by whose word."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from madang.cli.batch import parse_purposes
from madang.cli.options import HomeOption, JsonOption
from madang.cli.output import print_json, say
from madang.home import Home

app = typer.Typer(help="What may be done with a post, and by whose word.")


@app.command("explain")
def consent_explain(
    post: Annotated[str, typer.Argument(help="The id of the post.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say of each purpose whether the post may be used for it, and which signal decided."""
    with Home(home) as opened:
        try:
            decisions = opened.explain(post)
        except KeyError:
            raise ValueError(f"the home holds no post {post}") from None
        if as_json:
            print_json(
                {
                    "post": post,
                    "purposes": {
                        one.purpose: {"allowed": one.allowed, "because": one.because}
                        for one in decisions
                    },
                }
            )
            return
        for one in decisions:
            typer.echo(f"{one.purpose:7} {'yes' if one.allowed else 'no':4} {one.because}")


@app.command("refuse")
def consent_refuse(
    author: Annotated[str, typer.Argument(help="Whose word it is.")],
    purposes: Annotated[str, typer.Argument(help="train,ground,…")],
    source: Annotated[str | None, typer.Option(help="Where the author writes.")] = None,
    home: HomeOption = None,
) -> None:
    """Record that an author refuses purposes, for all their posts, past and future."""
    _consent(home, author, purposes, source, allowed=False)


@app.command("allow")
def consent_allow(
    author: Annotated[str, typer.Argument(help="Whose word it is.")],
    purposes: Annotated[str, typer.Argument(help="train,ground,…")],
    source: Annotated[str | None, typer.Option(help="Where the author writes.")] = None,
    home: HomeOption = None,
) -> None:
    """Record that an author no longer refuses purposes."""
    _consent(home, author, purposes, source, allowed=True)


def _consent(
    home: Path | None, author: str, purposes: str, source: str | None, *, allowed: bool
) -> None:
    with Home(home) as opened:
        outcome = opened.consent(author, parse_purposes(purposes, allowed), source)
        say("nothing changed" if outcome == "unchanged" else "recorded")
