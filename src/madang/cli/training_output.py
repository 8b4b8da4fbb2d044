"""What a training shows a person, on standard error: its stages, its plan, one live line."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from rich.live import Live
from rich.text import Text

from madang.cli.output import people, say
from madang.home import TrainingReport, Watcher
from madang.home.train_options import Stage

if TYPE_CHECKING:
    from madang.release import Progress as Publishing
    from madang.training.plan import Plan
    from madang.training.progress import Progress

# Where standard error is a file, a line now and then is enough.
_LINE_SECONDS: Final = 10.0
_STAGES: Final = {
    "curate": "choosing the posts that may be learned from",
    "tokenize": "cutting them into tokens",
    "plan": "measuring this machine and planning",
    "train": "training",
    "evaluate": "measuring the model",
    "publish": "exporting the model, and proving that every export is the model",
}


class TrainingDisplay:
    """Shows a training while the `with` block runs."""

    def __init__(self) -> None:
        self._live = Live(console=people, refresh_per_second=4, transient=True)
        self._shown = 0.0
        self._run: str | None = None

    def __enter__(self) -> Self:
        if people.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if people.is_terminal:
            self._live.stop()

    def watcher(self, stop: threading.Event) -> Watcher:
        """Return whom the training tells what it does."""
        return Watcher(
            stage=self.stage,
            curating=self.curating,
            planned=self.planned,
            progress=self.progress,
            sample=lambda text: say(f"it writes: {text}"),
            publishing=self.publishing,
            note=say,
            stop=stop,
        )

    def stage(self, stage: Stage) -> None:
        """Show what is done now."""
        if stage.run is not None and stage.run != self._run:
            self._run = stage.run
            say(f"run {stage.run}")
        say(_STAGES[stage.stage])

    def curating(self, what: str, done: int, of: int) -> None:
        """Show how far curation is."""
        if people.is_terminal:
            self._live.update(Text(f"{what} {done:,} of {of:,} posts"))

    def planned(self, plan: Plan) -> None:
        """Show the plan with its reasons."""
        for line in plan_lines(plan):
            say(line)

    def progress(self, progress: Progress) -> None:
        """Show one line that changes."""
        from madang.training.progress import describe

        now = time.monotonic()
        if people.is_terminal:
            self._live.update(Text(describe(progress)))
        elif now - self._shown >= _LINE_SECONDS:
            self._shown = now
            say(describe(progress))

    def publishing(self, progress: Publishing) -> None:
        """Show which format is written or proven."""
        doing = "writing" if progress.stage == "export" else "proving"
        if people.is_terminal:
            self._live.update(Text(f"{doing} {progress.format} ({progress.done}/{progress.of})"))

    def summary(self, report: TrainingReport) -> str:
        """Say in two sentences what came of it."""
        future = report.bits_per_byte.get("future", {})
        before, after = future.get("before"), future.get("after")
        line = f"{report.steps:,} steps over {report.tokens:,} tokens in {report.seconds:.0f} s"
        if before is not None and after is not None:
            line += f"; on the newest posts {before:.3f} bits per byte before, {after:.3f} after"
        if report.release is None:
            return f"{line}. `madang release {report.run}` publishes it"
        return f"{line}. Talk to it: `madang chat --model {report.release}`"


def plan_lines(plan: Plan) -> Iterator[str]:
    """Yield the plan, one number a line with the reason for it."""
    from madang.training.deriving import explain

    rows = explain(plan)
    first = max((len(name) for name, _, _ in rows), default=0)
    second = max((min(len(value), 24) for _, value, _ in rows), default=0)
    for name, value, reason in rows:
        yield f"{name:{first}}  {value:{second}}  {reason}"
    yield f"{'parameters':{first}}  {plan.model_config().parameters():<{second},}  in all"
