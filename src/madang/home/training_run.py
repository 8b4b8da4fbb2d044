"""From options to a release: curate, tokenize, plan, train, measure, publish."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from madang.home.folder import Folder
from madang.home.purging import purge_corpora
from madang.home.train_bases import Base, find_base, open_base, shape_of
from madang.home.train_measuring import (
    affordable_tokens,
    before_and_after,
    bits,
    measure,
    texts_of,
    write_sample,
)
from madang.home.train_options import (
    DEFAULT_MINUTES,
    REPLAY_SHARE,
    NothingToLearnError,
    Stage,
    TrainingReport,
    TrainOptions,
    Watcher,
)
from madang.home.train_planning import Facts, derive, import_seconds, seconds_beside
from madang.home.train_sources import Source, examples_of
from madang.home.train_vocabulary import fertility_sentence, with_vocabulary
from madang.posts import Delete, PostLog
from madang.posts.ingest import GivenGrant, ingest

if TYPE_CHECKING:
    from madang.corpus.curated import Curated
    from madang.corpus.policy import Policy
    from madang.model.transformer import Transformer
    from madang.text.tokenizer import Tokenizer
    from madang.training.plan import Plan
    from madang.training.run import RunResult

_LEAST_MINUTES: Final = 0.1
# Seconds; a model that has hardly begun to learn is no model to publish.
_LEAST_TRAINING: Final = 3.0


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that a run needs, decided before its first step."""

    name: str
    plan: Plan
    source: Source

    def to_json(self) -> str:
        """Return it as JSON, for ranks that did not prepare it."""
        value = {"name": self.name, "plan": self.plan.to_json(), "source": asdict(self.source)}
        return json.dumps(value)

    @classmethod
    def from_json(cls, text: str) -> Prepared:
        """Read what `to_json` wrote."""
        from madang.training.plan import Plan

        value = json.loads(text)
        plan = Plan.from_json(value["plan"])
        return cls(value["name"], plan, Source(**value["source"]))


@dataclass(slots=True)
class TrainingRun:
    """One training in a home, from the posts to what is published."""

    folder: Folder
    log: PostLog
    options: TrainOptions
    watcher: Watcher
    began: float = field(default_factory=time.monotonic)
    _model: Transformer | None = None

    # -- before the first step ---------------------------------------------------------------

    def prepare(self) -> Prepared:
        """Curate, tokenize and plan; or find the run that is to go on.

        Raises NothingToLearnError, ValueError or OSError.
        """
        if self.options.resume is not None:
            return resumed(self.folder.runs / self.options.resume)
        prepared, tokenizer = self.decide()
        folder = self.folder.runs / prepared.name
        prepared.source.write(folder)
        tokenizer.save(folder)
        self.watcher.planned(prepared.plan)
        return prepared

    def outline(self) -> Plan:
        """Return the plan as far as it can be told before the posts are cut into tokens."""
        curated = self._curated(None)
        base = self._load_base()
        return self._plan(self._facts(curated), base)

    def decide(self) -> tuple[Prepared, Tokenizer]:
        """Decide everything about a run that is new; no folder is made for it yet."""
        options = self.options
        name = self._name()
        curated = self._curated(name)
        replayed = None if options.replay is None else self._curate_file(options.replay, name)
        importing = import_seconds()
        base = self._load_base()
        self._stage("plan", name)
        plan = self._plan(self._facts(curated), base)
        tokenizer = base.tokenizer if base is not None else self._train_tokenizer(curated, plan)
        if base is None:
            plan = with_vocabulary(plan, tokenizer.vocabulary_size)
            if curated is not None:
                self.watcher.note(fertility_sentence(tokenizer, curated))
        source = Source(data=None if curated is not None else options.data)
        if curated is not None:
            source = self._tokenize(curated, replayed, tokenizer, plan, name)
        plan = self._with_origins(plan, source, tokenizer, importing)
        return Prepared(name, plan, source), tokenizer

    def _load_base(self) -> Base | None:
        base = find_base(self.options.base, self.folder)
        self._model = base.load() if base is not None else None
        return base

    def _curated(self, name: str | None) -> Curated | None:
        return self.curate(name) if self.options.objective == "pretrain" else None

    def _facts(self, curated: Curated | None) -> Facts:
        return Facts.of(curated, Path(self.options.data) if self.options.data else None)

    def curate(self, name: str | None = None) -> Curated:
        """Curate the home's posts, or those of the file that was given."""
        if self.options.data is not None and self.options.objective == "pretrain":
            return self._curate_file(self.options.data, name)
        return self._curate(self.log, name)

    def _curate(self, log: PostLog, name: str | None, policy: Policy | None = None) -> Curated:
        from madang.corpus.curation import NothingToTrainError, curate
        from madang.corpus.policy import Policy

        self._stage("curate", name)
        # What was erased while nothing looked must not come back by an older corpus.
        purge_corpora(self.folder, self.log)
        try:
            return curate(
                log,
                self.folder.corpus,
                policy=policy or Policy(),
                workers=self.options.workers,
                engine=self.options.engine,
                progress=self.watcher.curating,
            )
        except NothingToTrainError as error:
            raise NothingToLearnError(str(error)) from None

    def _curate_file(self, path: str, name: str | None) -> Curated:
        """Curate a file of posts; what the home has erased or may not learn from stays out."""
        with tempfile.TemporaryDirectory() as folder, PostLog(Path(folder) / "posts.db") as log:
            grant = GivenGrant(frozenset({"train"}), "given to be trained on")
            ingest(log, Path(path), rejects=Path(folder) / "rejects", grant=grant)
            after = 0
            while posts := log.scan(after):
                after = posts[-1].key
                ids = [one.post.id for one in posts]
                known = self.log.find(ids)
                refused = [one for one in ids if one in known and not known[one].allows("train")]
                refused += [one for one in ids if one not in known and self.log.is_erased(one)]
                log.append([Delete(one) for one in refused])
            return self._curate(log, name)

    def _tokenize(
        self,
        curated: Curated,
        replayed: Curated | None,
        tokenizer: Tokenizer,
        plan: Plan,
        name: str,
    ) -> Source:
        from madang.corpus.packing import Beginning, tokenize

        self._stage("tokenize", name, str(curated.folder))
        workers = self.options.workers
        part = Beginning(plan.corpus_share, plan.seed) if plan.corpus_share < 1 else None
        corpus = tokenize(curated.folder, tokenizer, workers=workers, beginning=part)
        if not corpus.train_tokens:
            raise NothingToLearnError(
                "no post is left to learn from: the newest ones are kept to measure on"
            )
        replay = None
        if replayed is not None:
            replay = tokenize(replayed.folder, tokenizer, workers=workers)
        return Source(
            corpus=str(corpus.folder.absolute()),
            replay=str(replay.folder.absolute()) if replay is not None else None,
        )

    def _plan(self, facts: Facts, base: Base | None) -> Plan:
        from madang.training.plan import read_plan

        options, model = self.options, self._model
        if options.plan is not None:
            return read_plan(Path(options.plan).expanduser())
        method = options.method or ("full" if base is None else "lora")
        given: dict[str, Any] = {
            **({"objective": options.objective} if options.objective != "pretrain" else {}),
            **({"method": method} if method != "full" else {}),
            **({"seed": options.seed} if options.seed else {}),
            **(shape_of(model) if model is not None else {}),
            **({"base": str(base.path)} if base is not None else {}),
            **({"threads": options.threads} if options.threads else {}),
            **dict(options.overrides),
        }
        if options.steps is not None:
            return derive(facts, None, options.steps, given)
        minutes = options.minutes or DEFAULT_MINUTES
        return derive(facts, max(_LEAST_MINUTES, minutes - self._spent() / 60), None, given)

    def _train_tokenizer(self, curated: Curated | None, plan: Plan) -> Tokenizer:
        from madang.corpus.packing import training_texts
        from madang.text.chat_template import render
        from madang.text.tokenizer import train_tokenizer
        from madang.training.data_files import read_conversations

        if curated is not None:
            texts: Iterator[str] = (text for _, text in training_texts(curated.folder))
        else:
            assert self.options.data is not None
            conversations = read_conversations(Path(self.options.data))
            texts = (render([m.plain() for m in one.messages]) for one in conversations)
        return train_tokenizer(texts, plan.vocabulary)

    def _with_origins(
        self, plan: Plan, source: Source, tokenizer: Tokenizer, importing: float
    ) -> Plan:
        """Write into the plan what it trains on; minutes shrink by what was spent so far."""
        from madang.corpus.corpus import Corpus

        corpus = Corpus.open(source.corpus).fingerprint if source.corpus else None
        replay = Corpus.open(source.replay).fingerprint if source.replay else None
        share = (self.options.replay_share or REPLAY_SHARE) if replay else 0.0
        plan = replace(
            plan, corpus=corpus, replay=replay, replay_share=share, tokenizer=tokenizer.digest
        )
        if plan.minutes is None or self.options.plan is not None:
            return plan
        minutes = self.options.minutes or DEFAULT_MINUTES
        reserve = min(0.4 * minutes * 60, seconds_beside(plan, self.options, importing))
        left = max(_LEAST_MINUTES, minutes - self._spent() / 60)
        reserve = min(reserve, left * 60 - max(_LEAST_TRAINING, 0.3 * left * 60))
        then = "publishing" if self.options.publish else "ending"
        reason = f"{minutes:g} asked for, less what preparing took; {reserve:.0f} s for {then}"
        reasons = {**plan.reasons, "minutes": reason}
        return replace(plan, minutes=left, reserve_seconds=reserve, reasons=reasons)

    # -- the run itself ----------------------------------------------------------------------

    def train(self, prepared: Prepared) -> RunResult:
        """Train a prepared run from its first step, or on from its last checkpoint."""
        from madang.text.tokenizer import Tokenizer
        from madang.training.loop import Hooks
        from madang.training.run import resume, train

        run, plan = self.folder.runs / prepared.name, prepared.plan
        model, self._model = self._model, None
        if model is None and plan.base is not None:
            model = open_base(Path(plan.base)).load()
        tokenizer = Tokenizer.load(run)
        texts = texts_of(prepared.source.curated)
        examples = examples_of(plan, prepared.source, tokenizer, model)
        for note in examples.notes:
            self.watcher.note(note)
        self._stage("train", prepared.name, prepared.source.corpus)
        limit = self._evaluation_tokens(plan)

        def evaluate(of: Any) -> dict[str, float | None]:
            return bits(measure(of, tokenizer, texts, limit))

        def sample(of: Any) -> str:
            text = write_sample(of, tokenizer, seed=plan.seed)
            self.watcher.sample(text)
            return text

        hooks = Hooks(
            evaluate=evaluate if texts.future or texts.general else None,
            sample=sample if plan.objective == "pretrain" else None,
            progress=self.watcher.progress,
            stop=self.watcher.stop,
        )
        if (run / "plan.json").exists():
            return resume(run, examples.source, hooks=hooks, loss=examples.loss, model=model)
        return train(plan, examples.source, run, hooks=hooks, loss=examples.loss, model=model)

    def _evaluation_tokens(self, plan: Plan) -> int:
        seconds = (plan.minutes or DEFAULT_MINUTES) * 60
        per_token = 2.0 * plan.model_config().matmul_parameters()
        return affordable_tokens(seconds, plan.peak_flops or 5e10, per_token)

    def finish(self, result: RunResult, prepared: Prepared, *, first: bool) -> TrainingReport:
        """Publish what was trained, on the first rank, and report.

        Raises ReleaseRefusedError where an export is not the model.
        """
        release = None
        if self.options.publish and first:
            release = self.publish(self.folder.runs / prepared.name, self.options.formats)
        for note in result.notes:
            self.watcher.note(note)
        return TrainingReport(
            run=prepared.name,
            release=release,
            parameters=result.plan.model_config().parameters(),
            steps=result.steps,
            tokens=result.tokens,
            useful_tokens_per_second=_speed(result),
            peak_share=result.peak_share,
            seconds=time.monotonic() - self.began,
            bits_per_byte=before_and_after(result.before, result.after),
        )

    def publish(self, run: Path, formats: tuple[str, ...] | None) -> str:
        """Publish a run under a name that is still free; return the name."""
        from madang.release import FORMATS, publish

        self._stage("publish", run.name)
        name, number = run.name, 2
        while (self.folder.releases / name).exists():
            name, number = f"{run.name}-{number}", number + 1
        release = publish(
            run,
            self.folder.releases,
            name=name,
            formats=formats or FORMATS,  # type: ignore[arg-type]
            progress=self.watcher.publishing,
        )
        return release.name

    # -- small things ------------------------------------------------------------------------

    def _name(self) -> str:
        if self.options.name is not None:
            if (self.folder.runs / self.options.name).exists():
                raise ValueError(
                    f"there is a run {self.options.name} already; resume it with --resume, or "
                    "choose another name"
                )
            return self.options.name
        stem = f"{time.strftime('%Y%m%d-%H%M%S')}-{_plain(self.options.base)}"
        name, number = stem, 2
        while (self.folder.runs / name).exists():
            name, number = f"{stem}-{number}", number + 1
        return name

    def _spent(self) -> float:
        return time.monotonic() - self.began

    def _stage(self, stage: Any, run: str | None, corpus: str | None = None) -> None:
        self.watcher.stage(Stage(stage, run, corpus))


def resumed(run: Path) -> Prepared:
    """Return a run that is to go on. Raises ValueError where there is none, or its base is gone."""
    from madang.training.plan import read_plan

    if not (run / "plan.json").is_file():
        raise ValueError(f"there is no run {run.name} to go on with; `madang runs` lists them")
    plan = read_plan(run)
    if plan.base is not None and not Path(plan.base).exists():
        raise ValueError(f"{run.name} began with {plan.base}, which is gone; train anew")
    return Prepared(run.name, plan, Source.read(run))


def _speed(result: RunResult) -> float:
    """Return useful tokens a second of the steps, without what happened between them."""
    from madang.training.metrics import read_metrics

    tokens, seconds, before = 0.0, 0.0, 0
    for line in read_metrics(result.folder):
        if line.get("tokens_per_second"):
            step = line["useful_tokens"] - before
            before = line["useful_tokens"]
            tokens += step
            seconds += step / line["tokens_per_second"]
    return tokens / seconds if seconds else 0.0


def _plain(base: str) -> str:
    """Return a base's name as part of a run's name."""
    stem = Path(base).stem
    return "".join(letter if letter.isalnum() else "-" for letter in stem)[:40].strip("-") or "run"
