"""What Prometheus is told, asked over HTTP while runs go on."""

from __future__ import annotations

import http.client
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from audiometry.benchmark import metrics_export
from audiometry.benchmark.answers import Done
from audiometry.benchmark.cache import default_cache
from audiometry.benchmark.errors import SettingError
from audiometry.benchmark.metrics_export import RunMetrics, ray_export_address
from audiometry.benchmark.plan import Item, Plan, RunSettings, make_plan
from audiometry.benchmark.rows import Row
from audiometry.benchmark.runner import run_plan

PLUGIN = str(Path(__file__).with_name("faulty.py"))
SLOW = RunSettings(models=("slow:seconds=0.05",), tasks=("echo",), plugins=(PLUGIN,), batch_size=2, resamples=200)

pytestmark = pytest.mark.usefixtures("home")

LABELS = ("model", "task", "status", "source", "le")

Told = dict[tuple[str, ...], float]


def scrape(metrics: RunMetrics) -> dict[str, Told]:
    """Values by name of the series, then by the values of its labels."""
    host, path = metrics.url.removeprefix("http://").split("/")
    connection = http.client.HTTPConnection(host, timeout=5)
    connection.request("GET", f"/{path}")
    text = connection.getresponse().read().decode()
    connection.close()
    found: dict[str, Told] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = tuple(sample.labels[name] for name in LABELS if name in sample.labels)
            found.setdefault(sample.name, {})[labels] = sample.value
    return found


@contextmanager
def served(plan: Plan, done: Done | None = None) -> Iterator[RunMetrics]:
    metrics = RunMetrics(plan, done or Done(plan), port=0)
    try:
        yield metrics
    finally:
        metrics.close()


class Watcher:
    """An observer that counts as a tally does, and scrapes on its way."""

    def __init__(self, metrics: RunMetrics, done: Done) -> None:
        self.metrics, self.done = metrics, done
        self.seen: list[dict[str, Told]] = []
        self.answers = 0

    def answered(self, model: int, pairs: list[tuple[Item, Row]]) -> None:
        fresh = [pair for pair in pairs if self.done.mark(model, pair[1].task, pair[1].position)]
        self.answers += len(fresh)
        self.metrics.answered(model, fresh)
        self.seen.append(scrape(self.metrics))

    def tick(self, **_: Any) -> None:
        pass

    def used(self, cpu: Any) -> None:
        pass


def watch(settings: RunSettings, folder: Path) -> Watcher:
    plan = make_plan(settings)
    done = Done(plan)
    with served(plan, done) as metrics:
        watcher = Watcher(metrics, done)
        watcher.seen.append(scrape(metrics))
        cache = default_cache() if settings.cache else None
        run_plan(plan, watcher, done=done, cache=cache, artefacts=str(folder), learned=lambda *_: None)
        if cache is not None:
            cache.close()
    return watcher


@pytest.mark.usefixtures("ray_here")
def test_a_run_on_ray_is_seen_going_on(tmp_path: Path) -> None:
    watcher = watch(replace(SLOW, cache=False), tmp_path)
    pair = ("slow:seconds=0.05", "echo")
    waiting = [told["audiometry_samples_waiting"][pair] for told in watcher.seen]
    assert (waiting[0], waiting[-1]) == (20, 0)
    assert waiting == sorted(waiting, reverse=True)
    assert len(set(waiting)) > 3, "the run was not seen while it went on"
    for told in watcher.seen[1:]:
        answered = told["audiometry_samples_total"][*pair, "ok", "model"]
        assert answered + told["audiometry_samples_waiting"][pair] == 20
        assert told["audiometry_sample_seconds_count"][pair] == answered
    last = watcher.seen[-1]
    assert 20 * 0.05 <= last["audiometry_sample_seconds_sum"][pair] < 20 * 0.5


@pytest.mark.usefixtures("ray_here")
def test_failures_count_once_whatever_was_retried(tmp_path: Path) -> None:
    last = watch(replace(SLOW, models=("faulty:fault=die",)), tmp_path).seen[-1]
    totals = {labels[2]: value for labels, value in last["audiometry_samples_total"].items()}
    assert totals == {"ok": 19, "error": 1}


@pytest.mark.usefixtures("ray_here")
def test_answers_from_the_cache_are_told_apart_and_took_no_time(tmp_path: Path) -> None:
    settings = replace(SLOW, models=("known",))
    watch(settings, tmp_path)
    last = watch(settings, tmp_path).seen[-1]
    assert last["audiometry_samples_total"] == {("known", "echo", "ok", "cache"): 20}
    assert ("known", "echo") not in last.get("audiometry_sample_seconds_count", {})


def test_an_endpoint_is_seen_without_ray(tmp_path: Path) -> None:
    watcher = watch(replace(SLOW, models=("remote:fault=raise,at=003",)), tmp_path)
    totals = {labels[2]: value for labels, value in watcher.seen[-1]["audiometry_samples_total"].items()}
    assert totals == {"ok": 19, "error": 1}


def test_what_was_answered_before_does_not_wait() -> None:
    plan = make_plan(SLOW)
    done = Done(plan)
    for position in range(7):
        done.mark(0, 0, position)
    with served(plan, done) as metrics:
        assert list(scrape(metrics)["audiometry_samples_waiting"].values()) == [13]


def test_only_this_machine_is_answered_and_the_port_is_given_back() -> None:
    plan = make_plan(SLOW)
    before = threading.active_count()
    with served(plan) as metrics:
        assert metrics.url.startswith("http://127.0.0.1:")
        port = int(metrics.url.split(":")[2].split("/")[0])
        with pytest.raises(SettingError, match=f"--metrics-port {port} cannot be used: .*; give another"):
            RunMetrics(plan, Done(plan), port=port)
        with socket.socket() as other, pytest.raises(OSError, match="refused"):
            other.connect(("127.0.0.2", port))  # another address of this machine, as a stranger would use
    RunMetrics(plan, Done(plan), port=port).close()
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_is_none(port: int) -> None:
    with pytest.raises(SettingError, match="give 0 to 65535"):
        RunMetrics(make_plan(SLOW), SimpleNamespace(count=lambda m, t: 0), port=port)


class Recorder:
    """A metric of Ray's kind that keeps what it was told."""

    def __init__(self, name: str, description: str, tag_keys: tuple[str, ...], boundaries: Any = None) -> None:
        self.keys, self.told = tag_keys, []

    def _record(self, value: float, tags: dict[str, str]) -> None:
        assert tuple(tags) == self.keys
        self.told.append((value, *tags.values()))

    inc = observe = set = _record


class TestThroughRay:
    @pytest.mark.usefixtures("ray_here")
    def test_where_ray_exports_the_same_is_recorded_there(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import ray.util.metrics

        for name in ("Counter", "Histogram", "Gauge"):
            monkeypatch.setattr(ray.util.metrics, name, Recorder)
        monkeypatch.setattr(metrics_export, "ray_export_address", lambda: "http://node/metrics")
        last = watch(replace(SLOW, cache=False), tmp_path)
        recorded = last.metrics._ray
        assert recorded is not None
        pair = ("slow:seconds=0.05", "echo")
        assert sum(value for value, *labels in recorded.samples.told if labels == [*pair, "ok", "model"]) == 20
        assert len(recorded.seconds.told) == 20
        assert recorded.waiting.told[-1] == (0, *pair)

    @pytest.mark.usefixtures("ray_here")
    def test_the_address_is_that_of_the_drivers_node(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import ray

        here = ray.get_runtime_context().get_node_id()

        def nodes(port: int) -> list[dict[str, Any]]:
            other = {"NodeID": "other", "NodeManagerAddress": "10.0.0.9", "MetricsExportPort": 1}
            return [other, {"NodeID": here, "NodeManagerAddress": "10.0.0.1", "MetricsExportPort": port}]

        monkeypatch.setattr(ray, "nodes", lambda: nodes(8080))
        assert ray_export_address() == "http://10.0.0.1:8080/metrics"
        monkeypatch.setattr(ray, "nodes", lambda: nodes(-1))  # what Ray tells without ray[default]
        assert ray_export_address() is None

    def test_a_run_without_ray_does_not_import_it(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delitem(sys.modules, "ray", raising=False)
        watcher = watch(replace(SLOW, models=("remote",), limit=2), tmp_path)
        assert watcher.answers == 2
        assert "ray" not in sys.modules
