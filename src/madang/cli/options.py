"""Options that several verbs share, and how a home is opened."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from madang.home import Home

HomeOption = Annotated[
    Path | None,
    typer.Option("--home", help="The home folder; else MADANG_HOME, else .madang here."),
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model", help="A release's name, a GGUF file, or the URL of an OpenAI-compatible server."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def open_home(home: Path | None, model: str | None = None) -> Home:
    """Open a home with the model that was named."""
    # A key on the command line would stand in the list of processes.
    return Home(home, model=model, model_key=os.environ.get("MADANG_MODEL_KEY"))
