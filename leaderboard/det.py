"""Detection error trade-off (DET) curves and their operating points, from the scores that a run kept. No page.

Both axes are on the scale of the normal deviate, on which normally distributed scores give a straight line (Martin et
al., "The DET Curve in Assessment of Detection Task Performance", Eurospeech 1997). The numbers are those of
`audiometry.tasks.metrics.detection`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from audiometry.benchmark.errors import DataError
from audiometry.leaderboard.evidence import read_parquet
from audiometry.leaderboard.figures import DARK, LIGHT, ground, short_name

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from audiometry.benchmark.types import FloatArray
    from audiometry.tasks.metrics.trials import OperatingPoints

__all__ = [
    "DETECTION_METRICS", "POINT_COLUMNS", "Trials", "axis_range", "curve_of", "det_figure", "operating_points",
    "read_trials",
]  # fmt: skip

DETECTION_METRICS = ("eer", "min_dcf", "actual_dcf")
"""What a task of detection measures; by these its protocols are known."""

COUNTS = ("score", "bona_fide", "failed")

POINT_COLUMNS = (
    "model", "attack", "point", "metric", "value", "threshold", "miss_rate", "false_alarm_rate", "misses", "bona_fide",
    "false_alarms", "spoof",
)  # fmt: skip
"""Columns of `operating_points`: where the threshold lies and how many trials are wrong there."""

MISS_RATE = 0.01
"""Bona fide trials that may be lost at the last operating point."""

TICKS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)

POINTS: Mapping[str, str] = {
    "equal error rate": "circle",
    "minimum DCF": "diamond",
    "Bayes threshold": "x",
    "1 % miss rate": "triangle-up",
}
"""Operating points, each with the mark that shows it."""


@dataclass(frozen=True)
class Trials:
    """The scores of one model: bona fide trials, and spoofed ones by their attack. Failed trials are infinitely
    wrong, as the task counts them.
    """

    model: str
    bona_fide: FloatArray
    spoof: Mapping[str, FloatArray]

    def of(self, attack: str = "") -> tuple[FloatArray, FloatArray]:
        """Bona fide scores, and those of one attack or (empty) of all.

        Raises DataError for an attack that is not there.
        """
        import numpy as np

        if attack and attack not in self.spoof:
            raise DataError(f"{self.model} has no trials of attack {attack!r}; it has: {', '.join(self.spoof)}")
        chosen = [self.spoof[attack]] if attack else list(self.spoof.values())
        return self.bona_fide, np.concatenate(chosen) if chosen else np.empty(0)


def read_trials(folder: str, model: str, task: str) -> Trials:
    """The trials of one model on one detection task, from the run folder at `folder` (any fsspec path).

    Raises DataError if the folder is gone, or its scores are not those of a detection task with both classes.
    """
    import numpy as np

    frame = read_parquet(f"{folder}/scores.parquet", model, task)
    missing = [name for name in COUNTS if f"count.{name}" not in frame]
    if missing or frame.empty:
        what = f"lack count {missing[0]!r}" if missing else "hold no trials"
        raise DataError(f"the scores of {task!r} in {folder} {what}; choose a detection task, or run it again")
    bona_fide = frame["count.bona_fide"].to_numpy() > 0
    wrong = np.where(bona_fide, -np.inf, np.inf)
    scores = np.where(frame["count.failed"].to_numpy() > 0, wrong, frame["count.score"].to_numpy(dtype=np.float64))
    named = frame["detail.attack"].fillna("") if "detail.attack" in frame else frame["stratum"].fillna("")
    attacks = named.to_numpy(dtype=object)
    spoof = {str(name): scores[~bona_fide & (attacks == name)] for name in sorted(set(attacks[~bona_fide]))}
    if not bona_fide.any() or not spoof:
        raise DataError(f"the scores of {task!r} in {folder} hold one class alone; a DET curve needs both")
    return Trials(model, scores[bona_fide], spoof)


def curve_of(trials: Trials, attack: str = "") -> OperatingPoints:
    """The points of a DET curve, at most 400: see `audiometry.tasks.metrics.detection.det_curve`."""
    from audiometry.tasks.metrics.detection import det_curve

    return det_curve(*trials.of(attack), points=400)


def operating_points(trials: Trials, attack: str = "") -> list[dict[str, Any]]:
    """Where the thresholds that people ask for lie, as rows of `POINT_COLUMNS`.

    The equal error rate and the minimum DCF are at the best threshold for these trials, which nobody knows
    beforehand; the Bayes threshold is the one that a calibrated score is used with (ASVspoof 5's prior and costs); at
    1 % miss rate one bona fide recording in a hundred may be lost.

    >>> import numpy as np
    >>> trials = Trials("m", np.array([1.0, 2.0, 3.0, 4.0]), {"A01": np.array([-1.0, 0.0, 1.5, 0.5])})
    >>> for row in operating_points(trials):
    ...     print(row["point"], row["value"], row["miss_rate"], row["false_alarm_rate"], row["misses"])
    equal error rate 0.25 0.25 0.25 1
    minimum DCF 0.25 0.0 0.25 0
    Bayes threshold 0.75 0.0 0.75 0
    1 % miss rate 0.25 0.0 0.25 0
    """
    from audiometry.tasks.metrics.detection import ASVSPOOF5_COSTS, detection_metrics

    bona_fide, spoof = trials.of(attack)
    found = detection_metrics(bona_fide, spoof)
    misses, alarms = _rates_above(bona_fide, spoof, found.min_dcf.threshold)
    bayes = ASVSPOOF5_COSTS.bayes_threshold
    bayes_miss, bayes_alarm = float((bona_fide < bayes).mean()), float((spoof >= bayes).mean())
    threshold, few_misses, few_alarms = _at_miss_rate(bona_fide, spoof, MISS_RATE)
    rows = [
        ("equal error rate", "eer", found.eer.value, found.eer.threshold, found.eer.miss_rate,
         found.eer.false_alarm_rate),
        ("minimum DCF", "min_dcf", found.min_dcf.value, found.min_dcf.threshold, misses, alarms),
        ("Bayes threshold", "actual_dcf", found.actual_dcf, bayes, bayes_miss, bayes_alarm),
        ("1 % miss rate", "false_alarms_at_1_percent_miss", few_alarms, threshold, few_misses, few_alarms),
    ]  # fmt: skip
    return [
        {
            "model": trials.model, "attack": attack or "all", "point": point, "metric": metric, "value": value,
            "threshold": at, "miss_rate": miss, "false_alarm_rate": alarm, "misses": round(miss * len(bona_fide)),
            "bona_fide": len(bona_fide), "false_alarms": round(alarm * len(spoof)), "spoof": len(spoof),
        }
        for point, metric, value, at, miss, alarm in rows
    ]  # fmt: skip


def axis_range(curves: Sequence[OperatingPoints]) -> tuple[float, float]:
    """The rates that both axes go from and to: so high that every curve is seen from both its ends, and so low as the
    curves come within that.

    >>> from audiometry.tasks.metrics.detection import det_curve
    >>> axis_range([det_curve([1.0, 3.0], [0.0, 1.0])])
    (0.2, 0.8)
    """
    crossing = max((float((c.miss_rate + c.false_alarm_rate).min()) / 2 for c in curves), default=0.0)
    high = next((tick for tick in TICKS if tick >= max(2.5 * crossing, 0.4)), 0.98)
    within = [
        float(rates[(rates > 0) & (other <= high)].min(initial=high))
        for c in curves
        for rates, other in ((c.miss_rate, c.false_alarm_rate), (c.false_alarm_rate, c.miss_rate))
    ]
    low = max((tick for tick in TICKS if tick <= min([*within, 0.2])), default=TICKS[0])
    return low, max(high, 0.8) if low >= 0.2 else high


def det_figure(
    detectors: Sequence[Trials], attack: str = "", *, shown: Sequence[str] = tuple(POINTS), dark: bool = False
) -> go.Figure:
    """DET curves of some detectors on one attack or (empty) all, with the operating points named in `shown`.

    Curves differ by dash and colour. A rate of 0 or 1, which has no place on a normal-deviate axis, is drawn at the
    axis' end.
    """
    import plotly.graph_objects as go

    colours = DARK if dark else LIGHT
    dashes = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
    curves = [curve_of(trials, attack) for trials in detectors]
    low, high = axis_range(curves)
    figure = go.Figure()
    for place, (trials, curve) in enumerate(zip(detectors, curves, strict=True)):
        colour = colours[place % len(colours)]
        name = escape(short_name(trials.model))
        figure.add_trace(
            go.Scatter(
                x=_deviates(curve.false_alarm_rate, low, high), y=_deviates(curve.miss_rate, low, high), mode="lines",
                name=name, line={"color": colour, "width": 2.5, "dash": dashes[place % len(dashes)]},
                hovertext=[
                    f"<b>{name}</b><br>miss {100 * miss:.1f} %, false alarm {100 * alarm:.1f} %<br>above {score:.4g}"
                    for miss, alarm, score in zip(
                        curve.miss_rate, curve.false_alarm_rate, curve.threshold, strict=True
                    )
                ],
                hoverinfo="text",
            )
        )  # fmt: skip
        rows = [row for row in operating_points(trials, attack) if row["point"] in shown]
        figure.add_trace(_marks(rows, colour, low, high))
    for point in shown:  # the key to the marks, in no detector's colour
        figure.add_trace(
            go.Scatter(
                x=[None], y=[None], mode="markers", name=point,
                marker={"symbol": POINTS[point], "size": 11, "color": ground(dark)["ink"]},
            )
        )  # fmt: skip
    _dress(figure, low, high, dark=dark)
    return figure


def _marks(rows: Sequence[Mapping[str, Any]], colour: str, low: float, high: float) -> go.Scatter:
    import plotly.graph_objects as go

    return go.Scatter(
        x=_deviates([row["false_alarm_rate"] for row in rows], low, high),
        y=_deviates([row["miss_rate"] for row in rows], low, high),
        mode="markers", showlegend=False, cliponaxis=False,
        marker={"symbol": [POINTS[row["point"]] for row in rows], "size": 12, "color": colour,
                "line": {"width": 1, "color": "white"}},
        hovertext=[
            f"<b>{escape(short_name(row['model'], 60))}</b><br>{row['point']}<br>miss {100 * row['miss_rate']:.1f} %, "
            f"false alarm {100 * row['false_alarm_rate']:.1f} %<br>threshold {row['threshold']:.4g}"
            for row in rows
        ],
        hoverinfo="text",
    )  # fmt: skip


def _dress(figure: go.Figure, low: float, high: float, *, dark: bool) -> None:
    from scipy.special import ndtri

    colours = ground(dark)
    ends = [float(ndtri(low)), float(ndtri(high))]
    ticks = [tick for tick in TICKS if low <= tick <= high]
    axis: dict[str, Any] = {
        "range": ends, "tickvals": [float(ndtri(tick)) for tick in ticks], "ticktext": [f"{100 * t:g}" for t in ticks],
        "gridcolor": colours["faint"], "zeroline": False, "color": colours["ink"], "fixedrange": True,
    }  # fmt: skip
    figure.add_shape(
        type="line", x0=ends[0], y0=ends[0], x1=ends[1], y1=ends[1],
        line={"color": colours["faint"], "dash": "dot", "width": 2}, layer="below",
    )  # fmt: skip
    figure.update_layout(
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)", font={"color": colours["ink"], "size": 14},
        height=640, margin={"l": 10, "r": 16, "t": 20, "b": 20}, hoverlabel={"font": {"size": 13}},
        legend={"orientation": "h", "y": -0.16, "yanchor": "top", "x": 0, "bgcolor": "rgba(0,0,0,0)"},
        xaxis=axis | {"title": {"text": "False alarm rate (spoof accepted), %"}},
        yaxis=axis | {"title": {"text": "Miss rate (bona fide refused), %"}, "automargin": True},
    )  # fmt: skip


def _deviates(rates: Sequence[float] | FloatArray, low: float, high: float) -> list[float]:
    import numpy as np
    from scipy.special import ndtri

    found: list[float] = ndtri(np.clip(np.asarray(rates, dtype=np.float64), low, high)).tolist()
    return found


def _rates_above(bona_fide: FloatArray, spoof: FloatArray, threshold: float) -> tuple[float, float]:
    """(miss rate, false alarm rate) where scores above `threshold` are accepted."""
    return float((bona_fide <= threshold).mean()), float((spoof > threshold).mean())


def _at_miss_rate(bona_fide: FloatArray, spoof: FloatArray, rate: float) -> tuple[float, float, float]:
    """(threshold, miss rate, false alarm rate) of the fewest false alarms while at most `rate` is missed."""
    import numpy as np

    ordered = np.sort(bona_fide)
    lost = int(np.floor(rate * len(ordered) + 1e-9))  # so many may lie at or under the threshold
    if ordered[lost] == -np.inf:  # too many failed: only a detector that accepts everything keeps them
        return -float("inf"), 0.0, 1.0
    threshold = float(np.nextafter(ordered[lost], -np.inf))
    return (threshold, *_rates_above(bona_fide, spoof, threshold))
