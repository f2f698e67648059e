"""How long one waits: time to the first word and to the last, and speed.

Two tasks on the same clips, both with the machine to themselves. `streaming-latency-asterisk-en` puts the time to the
first token first, which only models that report it have (``timings["first"]``); `speed-asterisk-en` puts RTFx first.

A failed sample (time-out, error) was never answered: it counts as slower than every other, and adds nothing to RTFx. So
does a sample without a first token to the time until it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from audiometry.benchmark.errors import SettingError
from audiometry.benchmark.registry import task
from audiometry.benchmark.seeds import hash_order
from audiometry.benchmark.stats import mean_of
from audiometry.benchmark.types import FloatArray, Metric, Output, Request, Sample, Score, ScoreTable, Task
from audiometry.tasks.corpora.utterance import SpeechCorpus, open_corpus
from audiometry.tasks.metrics.latency import latency_counts, latency_metrics, latency_reduce

__all__ = ["PERCENTILES", "latency_task"]

VERSION = "1"
PERCENTILES = (50, 90, 95)
"""The 99th would rest on the slowest one of a hundred clips."""

STREAMED = Metric("streamed", direction="higher", high=1.0, scale="logit", events="first_latency_answered")


@task("streaming-latency-asterisk-en")
def streaming_latency_asterisk_en(*, clips: int = 100) -> Task:
    """Time to the first token and to the whole answer on English prompts, alone on the machine."""
    return latency_task(open_corpus("asterisk-en"), name="streaming-latency-asterisk-en", clips=clips, streaming=True)


@task("speed-asterisk-en")
def speed_asterisk_en(*, clips: int = 100) -> Task:
    """RTFx and latency percentiles on English prompts, alone on the machine."""
    return latency_task(open_corpus("asterisk-en"), name="speed-asterisk-en", clips=clips, streaming=False)


def latency_task(corpus: SpeechCorpus, *, name: str, clips: int, streaming: bool) -> Task:
    """Latencies on the first `clips` of a fixed hash order of the corpus; the first token leads if `streaming`.

    Raises SettingError for fewer than one clip.
    """
    if clips < 1:
        raise SettingError(f"task {name!r}: clips={clips}; give 1 or more")
    reduce_times = latency_reduce(PERCENTILES)
    metrics = [*latency_metrics(PERCENTILES), STREAMED]
    metrics.sort(key=lambda metric: metric.name.startswith("first_") != streaming)

    def samples() -> Iterator[Sample]:
        utterances = list(corpus.utterances())
        for place in sorted(hash_order([one.id for one in utterances], first=clips)):
            utterance = utterances[place]
            yield Sample(
                id=utterance.id,
                request=Request("transcribe", {"input": utterance.audio}, language=utterance.language or None),
                target=utterance.text,
                slices={"duration": utterance.slices["duration"]},
                cluster=utterance.id,
            )

    def reduce(table: ScoreTable, weights: FloatArray) -> Mapping[str, FloatArray]:
        return {**reduce_times(table, weights), "streamed": mean_of(table, weights, "first_latency_answered")}

    return Task(
        name=name,
        version=VERSION,
        ability="transcribe",
        samples=samples,
        score=_score,
        reduce=reduce,
        metrics=tuple(metrics),
        exclusive=True,
        notes=corpus.notes,
        settings={"corpus": corpus.name, "clips": str(clips)},
    )


def _score(sample: Sample, output: Output) -> Score:
    heard = sample.request.audios["input"].seconds or 0.0
    return Score(sample.id, latency_counts(output, heard), status=output.status, details={"said": output.text or ""})
