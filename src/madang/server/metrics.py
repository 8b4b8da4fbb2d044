"""What the operator can watch, in Prometheus' text format."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from madang.answer import Answer
from madang.home import Home
from madang.server.admission import Admission

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS: Final = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40)
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


class Metrics:
    """The counters of one server; each server has its own, also within one process."""

    def __init__(self, home: Home, admission: Admission) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._registry.register(_Now(home, admission))
        self.requests = Counter(
            "madang_requests", "Requests.", ("method", "path", "status"), registry=self._registry
        )
        self.request_seconds = Histogram(
            "madang_request_seconds",
            "Time until a response is complete.",
            ("path",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.stage_seconds = Histogram(
            "madang_answer_stage_seconds",
            "Time that the stages of answers took.",
            ("stage",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.answers = Counter(
            "madang_answers", "Answers that were completed.", ("route",), registry=self._registry
        )
        self.abstentions = Counter(
            "madang_abstentions", "Questions that posts do not answer.", registry=self._registry
        )
        self.refusals = Counter(
            "madang_refusals",
            "Questions refused because the queue was full.",
            registry=self._registry,
        )
        self.tokens = Counter(
            "madang_tokens",
            "Tokens of conversations and answers.",
            ("kind",),
            registry=self._registry,
        )

    def answered(self, answer: Answer) -> None:
        """Count one answer."""
        self.answers.labels(answer.route).inc()
        if answer.abstained:
            self.abstentions.inc()
        for stage, milliseconds in answer.took_ms.items():
            self.stage_seconds.labels(stage).observe(milliseconds / 1000)

    def text(self) -> bytes:
        """Return all of it as Prometheus reads it."""
        return generate_latest(self._registry)


class _Now(Collector):
    """What holds at the moment of asking."""

    def __init__(self, home: Home, admission: Admission) -> None:
        self._home = home
        self._admission = admission

    def collect(self) -> Iterable[Metric]:
        queue = GaugeMetricFamily("madang_queue", "Questions in the queue.", labels=["state"])
        queue.add_metric(["working"], self._admission.working)
        queue.add_metric(["waiting"], self._admission.waiting)
        yield queue
        yield GaugeMetricFamily(
            "madang_stopped", "1 while the emergency brake is on.", value=self._home.stopped
        )
        status = self._home.learning_status
        states = GaugeMetricFamily(
            "madang_learning", "1 for what the background learner does now.", labels=["state"]
        )
        states.add_metric([status.state], 1)
        yield states
        if status.seconds is not None:
            yield GaugeMetricFamily(
                "madang_learning_seconds",
                "How long the background learner has been learning.",
                value=status.seconds,
            )
        processes = [getattr(one, "process_id", None) for one in self._home.model.engines]
        sizes = [_resident_bytes(one) for one in processes if one is not None]
        if sizes:
            yield GaugeMetricFamily(
                "madang_engine_resident_memory_bytes",
                "Memory of the processes that embedded models run in.",
                value=sum(sizes),
            )


class Measured:
    """Counts requests and how long they take, by the route that served them."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # A request that ends without a response was given up by its client.
        status = 499
        started = time.perf_counter()

        async def send_and_see(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_see)
        finally:
            path = _route(scope)
            self._metrics.requests.labels(scope["method"], path, str(status)).inc()
            self._metrics.request_seconds.labels(path).observe(time.perf_counter() - started)


def _route(scope: Scope) -> str:
    """Return the pattern of the route, so that what clients invent makes no new series."""
    route: Any = scope.get("route")
    return re.sub(r":\w+}", "}", getattr(route, "path", "none"))


def _resident_bytes(process: int) -> int:
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError, ValueError):
        return 0
