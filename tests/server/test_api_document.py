"""docs/api.md says what the server does: its list of parameters, its commands."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

import pytest
from serving import Served

from madang.server.chat_request import ChatCompletionRequest
from madang.server.parameters import WITHOUT_EFFECT

DOCUMENT = (Path(__file__).parents[2] / "docs" / "api.md").read_text("utf-8")
ROW = re.compile(r"^\| `(\w+)` \| (honoured|accepted|refused)(?:: (.*?))? \| (.*?) ?\|$", re.M)
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.M | re.S)


def test_every_parameter_stands_in_the_document_as_it_is_treated() -> None:
    told = {
        name: (treatment, values, why) for name, treatment, values, why in ROW.findall(DOCUMENT)
    }
    assert len(told) == len(ROW.findall(DOCUMENT)), "a parameter is named twice"
    honoured = {name for name, (treatment, *_) in told.items() if treatment == "honoured"}
    assert honoured == set(ChatCompletionRequest.model_fields)
    without_effect = {}
    for name, parameter in WITHOUT_EFFECT.items():
        values = ", ".join(
            f"`{json.dumps(value, separators=(',', ':'))}`" for value in parameter.harmless or ()
        )
        treatment = "accepted" if parameter.accepted else "refused"
        without_effect[name] = (treatment, values, parameter.why)
    assert {name: told[name] for name in told if name not in honoured} == without_effect


def test_every_parameter_that_openai_has_is_decided_on() -> None:
    pytest.importorskip("openai", reason="the openai package is not installed")
    from openai.types.chat import completion_create_params as params

    theirs: set[str] = set()
    for variant in get_args(params.CompletionCreateParams):
        for base in variant.__mro__:
            theirs |= set(getattr(base, "__annotations__", {}))
    assert "messages" in theirs
    ours = set(ChatCompletionRequest.model_fields) | set(WITHOUT_EFFECT)
    assert theirs - ours == set()


@pytest.mark.parametrize("number", range(len(BLOCK.findall(DOCUMENT))))
def test_what_the_document_tells_to_run_works(number: int, served: Served, tmp_path: Path) -> None:
    language, program = BLOCK.findall(DOCUMENT)[number]
    if language == "python" and find_spec("openai") is None:
        pytest.skip("the openai package is not installed")
    if language == "sh" and shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    program = program.replace("http://127.0.0.1:8080", served.url)
    program = program.replace(".madang/admin-key", str(served.home.folder.key))
    command = ["bash", "-eu", "-c"] if language == "sh" else [sys.executable, "-c"]
    done = subprocess.run(
        [*command, program],
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert '"error"' not in done.stdout


def test_every_error_code_stands_in_the_document() -> None:
    sources = (Path(__file__).parents[2] / "src" / "madang" / "server").glob("*.py")
    code = re.compile(r'(?:code=|STOPPED: Final = |PydanticCustomError\(\s*)"(\w+)"')
    codes = {found for source in sources for found in code.findall(source.read_text("utf-8"))}
    assert {"invalid_api_key", "stopped", "queue_full", "unsupported_content"} <= codes
    assert {one for one in codes if f"`{one}`" not in DOCUMENT} == set()
