"""The nouns: what is asked, what is answered, what is counted, and who does it.

Everything here is frozen and holds plain values only, so that it can travel to a worker and be hashed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from audiometry.benchmark.records import by_values

__all__ = [
    "ABILITIES",
    "Ability",
    "Audio",
    "Corpus",
    "FloatArray",
    "IntArray",
    "Metric",
    "Model",
    "Output",
    "OutputStatus",
    "Reduce",
    "Request",
    "Result",
    "Sample",
    "Score",
    "ScoreStatus",
    "ScoreTable",
    "Segment",
    "Suite",
    "Target",
    "Task",
    "Transform",
    "Turn",
    "Waveform",
]

FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.int64]

Ability = Literal[
    "transcribe",
    "synthesize",
    "convert",
    "detect",
    "classify",
    "align",
    "respond",
    "embed",
    "rate",
    "watermark",
]
ABILITIES: tuple[Ability, ...] = (
    "transcribe", "synthesize", "convert", "detect", "classify", "align", "respond", "embed", "rate", "watermark",
)  # fmt: skip

OutputStatus = Literal["ok", "empty", "refused", "timeout", "error"]
ScoreStatus = Literal["ok", "empty", "refused", "timeout", "error", "unparsed"]

Target: TypeAlias = str | float | Mapping[str, Any] | None
"""What a perfect model would answer: a transcript, a class, a rating, or a structure that its task explains."""


@dataclass(frozen=True, slots=True)
class Waveform:
    """Decoded mono sound: `samples` float32 in [-1, 1] of shape (time,), at `rate` Hz."""

    samples: NDArray[np.float32]
    rate: int

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.rate


@dataclass(frozen=True, slots=True)
class Transform:
    """A named, seeded change of a waveform, applied on the worker; `settings` are sorted (name, value) pairs."""

    name: str
    settings: tuple[tuple[str, float | str], ...] = ()
    seed: int = 0


@by_values
@dataclass(frozen=True, slots=True)
class Audio:
    """Where sound is: a file path (any fsspec URL), a span in seconds, and the transforms to apply in order.

    A reference and never samples: workers decode, the driver never does. `seconds` is the span's length where the
    corpus knows it (batches are formed by it). `digest` is the file's sha256 where the corpus knows it.
    """

    path: str
    start: float = 0.0
    end: float | None = None
    transforms: tuple[Transform, ...] = ()
    seconds: float | None = None
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a dialogue so far."""

    role: Literal["user", "assistant", "system"]
    text: str | None = None
    audio: Audio | None = None


@by_values
@dataclass(frozen=True, slots=True)
class Request:
    """What a model is asked.

    `audios` maps a role (`input`, `voice`, `background`, `candidate`, …) to sound; `language` is an ISO 639-1 code
    where the task tells it; `seed` derives from the run's seed and the sample's id. On the worker `waveforms` holds
    the decoded audios under the same roles; it is empty on the driver.
    """

    ability: Ability
    audios: Mapping[str, Audio] = field(default_factory=dict)
    text: str | None = None
    instruction: str | None = None
    language: str | None = None
    turns: tuple[Turn, ...] = ()
    seed: int = 0
    waveforms: Mapping[str, Waveform] = field(default_factory=dict)

    def seeded(self, seed: int) -> Request:
        """The same with that seed: `dataclasses.replace`, only quicker, as it is done for every sample."""
        return Request(
            self.ability, self.audios, self.text, self.instruction, self.language, self.turns, seed, self.waveforms
        )


@by_values
@dataclass(frozen=True, slots=True)
class Sample:
    """One question of a task: the request, its target, its slices, and how it may be resampled.

    `cluster` is the unit of resampling (the speaker, or else the recording); `stratum` keeps classes apart
    (bona fide or an attack), so that every resample has as many of each.
    """

    id: str
    request: Request
    target: Target
    slices: Mapping[str, str] = field(default_factory=dict)
    cluster: str = ""
    stratum: str = ""

    def seeded(self, seed: int) -> Sample:
        """The same with a request of that seed."""
        return Sample(self.id, self.request.seeded(seed), self.target, self.slices, self.cluster, self.stratum)


@dataclass(frozen=True, slots=True)
class Segment:
    """A labelled span of an answer, in seconds."""

    start: float
    end: float
    label: str
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """What a model answered. `status` other than ``ok`` says why there is no answer to score.

    `score` is higher for more bona fide (`detect`) or better (`rate`). `timings` are seconds, by name: `total`,
    `first` (first sound or token). `usage` is what the answer used up, by name: `input_tokens`, `output_tokens`,
    `cost` (in the provider's currency), `attempts`; it is added up over a run. `facts` are what whoever answered said
    of itself (the version behind an endpoint); a run tells which there were. `peak_bytes` is the most memory that the
    process which answered has held, with those under it: a worker tells it for exclusive tasks, nobody else does.
    """

    status: OutputStatus = "ok"
    text: str | None = None
    audio: Waveform | None = None
    score: float | None = None
    labels: Mapping[str, float] = field(default_factory=dict)
    segments: tuple[Segment, ...] = ()
    embedding: NDArray[np.float32] | None = None
    error: str | None = None
    timings: Mapping[str, float] = field(default_factory=dict)
    usage: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    peak_bytes: float | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """The sufficient statistics of one sample (errors and words, not their ratio), and the texts behind them.

    `counts` are finite numbers, the same names in every score of a task. `details` are strings kept as evidence and
    never reduced. Slices, cluster and stratum come from the sample and join the counts in the score table.
    """

    sample_id: str
    counts: Mapping[str, float]
    status: ScoreStatus = "ok"
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ScoreTable:
    """Scores of one (model, task) as columns. Every array has shape (samples,).

    `counts` maps a count's name to float64; `cluster` holds codes 0 … clusters-1; `stratum` holds codes 0 …
    strata-1; `cluster_strata` of shape (clusters,) gives each cluster's stratum for resampling within strata (a
    cluster that spans strata has the code of its first sample, and `clusters_span_strata` is then true).
    """

    counts: Mapping[str, FloatArray]
    cluster: IntArray
    stratum: IntArray
    cluster_strata: IntArray
    clusters_span_strata: bool = False

    def __len__(self) -> int:
        return len(self.cluster)

    @property
    def clusters(self) -> int:
        """Number of clusters."""
        return len(self.cluster_strata)

    def cluster_sums(self, name: str) -> FloatArray:
        """Sum of a count within each cluster, shape (clusters,)."""
        sums = np.bincount(self.cluster, weights=self.counts[name], minlength=self.clusters)
        return sums.astype(np.float64)


Reduce: TypeAlias = Callable[[ScoreTable, FloatArray], Mapping[str, FloatArray]]
"""(table, weights of shape (resamples, clusters)) → {metric: values of shape (resamples,)}.

A weight is how often a resample holds the cluster; a row of ones gives the point estimate. A value that the
resample cannot define (a ratio with nothing below the line) is NaN.
"""


@dataclass(frozen=True, slots=True)
class Metric:
    """A number that a task reports: its unit (`fraction`, `dB`, `s`, …), which way is better, and its range."""

    name: str
    unit: str = "fraction"
    direction: Literal["lower", "higher"] = "lower"
    low: float = 0.0
    high: float = float("inf")
    scale: Literal["linear", "log", "logit"] = "linear"
    """The scale on which the small-sample interval is formed."""
    events: str | None = None
    """Name of the count whose total says how many events the metric rests on (errors for WER)."""


@dataclass(frozen=True)
class Task:
    """Samples, a score for each, and a reduction of the scores: nothing more.

    `metrics[0]` is the headline. `score` runs on workers and is called for failed outputs too: each task states
    there what a failure counts. `judges` names the models (as on the command line) that score the outputs: `judge` says
    what each is asked about an answer, given where the answer's sound is kept, and `score_judged` scores with what they
    said (the answer comes without its sound and embedding). Only answers that are ``ok`` are judged; `score` scores the
    others, and those whose judge fails, as failures. `exclusive` tasks are never cached and
    have the machine to themselves. `notes` are shown wherever the numbers are (for example that speech is synthetic).
    """

    name: str
    version: str
    ability: Ability
    samples: Callable[[], Iterable[Sample]]
    score: Callable[[Sample, Output], Score]
    reduce: Reduce
    metrics: tuple[Metric, ...]
    judges: tuple[str, ...] = ()
    judge: Callable[[Sample, Output, Audio | None], Mapping[str, Request]] | None = None
    score_judged: Callable[[Sample, Output, Mapping[str, Output]], Score] | None = None
    exclusive: bool = False
    next_turn: Callable[[Sample, Sequence[Output]], Request | None] | None = None
    notes: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    """What else names this measurement (the normaliser and its version); shown with the results."""


@dataclass(frozen=True)
class Suite:
    """A named list of tasks (as on the command line), each with its weight in the suite's mean rank.

    Another list, or another weight, is another `version`.
    """

    version: str
    weights: Mapping[str, float]


@runtime_checkable
class Model(Protocol):
    """What is measured. `generate` returns one output a request, in order.

    `fingerprint` is a hash of weights, code and settings: two models with one fingerprint answer alike.
    """

    name: str
    abilities: frozenset[Ability]
    fingerprint: str
    deterministic: bool

    def generate(self, requests: Sequence[Request]) -> list[Output]:
        """Answer each request."""
        ...

    def close(self) -> None:
        """Give back memory and processes."""
        ...


@runtime_checkable
class Corpus(Protocol):
    """Recordings with what is known of them. How they are listed is the corpus' own affair, or its task's."""

    name: str

    def ready(self) -> bool:
        """Whether the recordings are on this machine and whole."""
        ...

    def prepare(self, source: str | None, report: Callable[[str], None]) -> None:
        """Fetch, or read from the folder `source`; `report` is told each step. Doing it twice does nothing."""
        ...

    def describe(self) -> Mapping[str, str]:
        """What is known without reading the recordings: where they are or how to get them, language, licence, …"""
        ...


@dataclass(frozen=True, slots=True)
class Result:
    """One number with its interval: a row of the leaderboard.

    `low` and `high` bound the 95 % interval, and are None where none can be formed; `value` is None where the metric
    is undefined. `n` counts every sample of the slice, failed ones included. `notes` qualify the number.
    """

    run: str
    model: str
    task: str
    task_version: str
    metric: str
    slice: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    failed: int = 0
    empty: int = 0
    refused: int = 0
    unparsed: int = 0
    judges: tuple[str, ...] = ()
    seed: int = 0
    unit: str = "fraction"
    direction: str = "lower"
    control: bool = False
    notes: tuple[str, ...] = ()
