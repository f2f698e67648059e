"""A run's progress for Prometheus: samples by status, seconds a sample, samples that wait.

The driver counts, because there every sample is counted once whatever was retried, and because answers from the cache
and from endpoints never see Ray. It serves the figures on 127.0.0.1. Where Ray exports metrics (``ray[default]``), they
are recorded through Ray as well and stand among the figures of the driver's node, names prefixed with ``ray_``.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from audiometry.benchmark.answers import Done
from audiometry.benchmark.errors import SettingError
from audiometry.benchmark.plan import Item, Plan
from audiometry.benchmark.rows import Row

__all__ = ["SECONDS_BUCKETS", "RunMetrics", "ray_export_address"]

HOST = "127.0.0.1"

SAMPLES = ("audiometry_samples", "Samples answered, by what became of them.")
SECONDS = ("audiometry_sample_seconds", "Seconds that the model took for a sample; answers from the cache took none.")
WAITING = ("audiometry_samples_waiting", "Samples that are still to be answered.")
OF_PAIR = ("model", "task")
OF_SAMPLE = (*OF_PAIR, "status", "source")

SECONDS_BUCKETS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)


class RunMetrics:
    """The metrics of one run, served from `start` to `close`.

    `done` tells what was answered before a run that is gone on with: those samples do not wait, and are not counted.
    """

    def __init__(self, plan: Plan, done: Done, *, port: int) -> None:
        """Take a TCP port of this machine; 0 lets the system choose.

        Raises SettingError if the port is out of range or taken.
        """
        import prometheus_client as prometheus

        if not 0 <= port <= 65535:
            raise SettingError(f"--metrics-port {port} is out of range; give 0 to 65535")
        self._labels = {(m, t): (plan.models[m].label, plan.tasks[t].task.name) for m, t in plan.pairs}
        self._waiting_now = {(m, t): plan.tasks[t].size - done.count(m, t) for m, t in plan.pairs}
        registry = prometheus.CollectorRegistry()  # of this run alone: two runs in one process do not meet
        self._samples = prometheus.Counter(*SAMPLES, OF_SAMPLE, registry=registry)
        self._seconds = prometheus.Histogram(*SECONDS, OF_PAIR, buckets=SECONDS_BUCKETS, registry=registry)
        self._waiting = prometheus.Gauge(*WAITING, OF_PAIR, registry=registry)
        for pair, labels in self._labels.items():
            self._waiting.labels(*labels).set(self._waiting_now[pair])
        try:
            self._server, self._thread = prometheus.start_http_server(port, addr=HOST, registry=registry)
        except OSError as error:
            raise SettingError(f"--metrics-port {port} cannot be used: {error.strerror}; give another") from error
        self._ray: _RayMetrics | None = None
        self._ray_asked = False

    @property
    def url(self) -> str:
        """Where the figures are served."""
        return f"http://{HOST}:{self._server.server_port}/metrics"

    def answered(self, model: int, pairs: Sequence[tuple[Item, Row]]) -> None:
        """Count samples that were answered."""
        if not self._ray_asked:
            self._join_ray()
        groups = Counter((row.task, row.verdict, "cache" if row.cached else "model") for _, row in pairs)
        for (task, status, source), count in groups.items():
            self._samples.labels(*self._labels[model, task], status, source).inc(count)
            if self._ray is not None:
                self._ray.samples.inc(count, _tags(OF_SAMPLE, (*self._labels[model, task], status, source)))
        for _, row in pairs:
            seconds = row.output.get("total_seconds")
            if seconds is not None and not row.cached:
                self._seconds.labels(*self._labels[model, row.task]).observe(seconds)
                if self._ray is not None:
                    self._ray.seconds.observe(seconds, _tags(OF_PAIR, self._labels[model, row.task]))
        self._wait({task for task, _, _ in groups}, model, pairs)

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _wait(self, tasks: set[int], model: int, pairs: Sequence[tuple[Item, Row]]) -> None:
        for _, row in pairs:
            self._waiting_now[model, row.task] -= 1
        for task in tasks:
            labels = self._labels[model, task]
            self._waiting.labels(*labels).set(self._waiting_now[model, task])
            if self._ray is not None:
                self._ray.waiting.set(self._waiting_now[model, task], _tags(OF_PAIR, labels))

    def _join_ray(self) -> None:
        """Record through Ray too, from the first answers on after it has started, if it exports anything."""
        ray = sys.modules.get("ray")  # a run from the cache never imports it
        if ray is None or not ray.is_initialized():
            return
        self._ray_asked = True
        if ray_export_address() is not None:
            self._ray = _RayMetrics()


class _RayMetrics:
    """The same three, through Ray."""

    def __init__(self) -> None:
        from ray.util import metrics

        self.samples: Any = metrics.Counter(*SAMPLES, tag_keys=OF_SAMPLE)
        self.seconds: Any = metrics.Histogram(*SECONDS, boundaries=list(SECONDS_BUCKETS), tag_keys=OF_PAIR)
        self.waiting: Any = metrics.Gauge(*WAITING, tag_keys=OF_PAIR)


def ray_export_address() -> str | None:
    """Where Ray serves the metrics of the driver's node; None where it serves none, as without ``ray[default]``.

    Ray must have been started.
    """
    import ray

    here = ray.get_runtime_context().get_node_id()
    for node in ray.nodes():  # type: ignore[no-untyped-call]  # not annotated
        if node["NodeID"] == here and node["MetricsExportPort"] > 0:
            return f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    return None


def _tags(names: Sequence[str], values: Sequence[str]) -> Mapping[str, str]:
    return dict(zip(names, values, strict=True))
