"""Spoof detection attack by attack, from results to rows: macro, worst and pooled equal error rates, each beside the
`shortcut` control's. Pure functions over frames; no page.

The control knows nothing of the voice (`audiometry.models.baselines.shortcut`): what it gets below 50 %, any detector
may owe to the same leak of the corpus.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from audiometry.leaderboard.board import records

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "ATTACK_COLUMNS", "SHORTCUT", "SPOOF_METRICS", "attack_rows", "attacks_of", "describe_corpus", "is_shortcut",
    "notes_of_all", "spoof_models", "summary_rows", "trials_per_attack",
]  # fmt: skip

SPOOF_METRICS = ("eer_macro", "eer_worst", "eer")
"""What a task of spoof detection measures of all attacks; by these its protocols are known."""

SUMMARY: Mapping[str, str] = {
    "eer_macro": "mean over attacks",
    "eer_worst": "worst attack",
    "eer": "all attacks pooled",
}
"""How the summaries are called, in their order."""

SHORTCUT = "shortcut"
"""Name of the control that must always stand beside."""

PREFIX = "eer-"

ATTACK_COLUMNS = (
    "group", "attack", "model", "value", "low", "high", "unit", "n", "trials", "failed", "control", "against_shortcut",
    "notes", "origin", "run", "created",
)  # fmt: skip
"""Columns of `attack_rows` and `summary_rows`. `trials` is the spoofed trials of the attack, None where the run's
evidence is gone; `against_shortcut` says how the interval lies to the control's."""

LEVELS: Mapping[str, str] = {
    "E0": "E0 (sampling rate and peak)",
    "E1": "E1 (and silence, level)",
    "E2": "E2 (and length)",
    "E3": "E3 (and band, noise, coding)",
    "E4": "E4 (and tone colour)",
}
"""What each level of `audiometry.tasks.corpora.spoof.equalisation` makes equal between the classes."""

PROTOCOLS: Mapping[str, str] = {"unseen-attack": "unseen attacks", "seen-attack": "seen attacks"}


def is_shortcut(model: str) -> bool:
    """Whether a model is the control, whatever its settings.

    >>> is_shortcut("shortcut:level=E0"), is_shortcut("shortcut-2")
    (True, False)
    """
    return model.partition(":")[0] == SHORTCUT


def describe_corpus(task: str, settings: Mapping[str, Any]) -> str:
    """The name of a spoof task with the level of equalisation in it, and whether its attacks were trained on.

    >>> describe_corpus("spoof-embedded", {"level": "E4", "protocol": "unseen-attack"})
    'spoof-embedded, equalisation E4 (and tone colour), unseen attacks'
    >>> describe_corpus("spoof-asvspoof5", {"corpus": "asvspoof5"})
    'spoof-asvspoof5, not equalised: as published'
    """
    level = str(settings.get("level", ""))
    how = f"equalisation {LEVELS.get(level, level)}" if level else "not equalised: as published"
    protocol = str(settings.get("protocol", ""))
    return ", ".join([task, how, *([PROTOCOLS.get(protocol, protocol)] if protocol else [])])


def attacks_of(results: pd.DataFrame) -> list[str]:
    """The attacks that have an equal error rate of their own, in the task's order."""
    names = dict.fromkeys(results["metric"])
    return [name.removeprefix(PREFIX) for name in names if name.startswith(PREFIX)]


def spoof_models(results: pd.DataFrame) -> tuple[list[str], list[str]]:
    """(detectors by their macro equal error rate, best first; the shortcut controls). Other controls are left out."""
    whole = results[(results["metric"] == SPOOF_METRICS[0]) & (results["slice"] == "all")]
    ordered = whole.sort_values(["value", "model"], kind="stable")
    names = [str(name) for name in ordered["model"]]
    controls = dict(zip(ordered["model"], ordered["control"], strict=True))
    shortcuts = [name for name in names if is_shortcut(name)]
    return [name for name in names if name not in shortcuts and not controls[name]], shortcuts


def attack_rows(results: pd.DataFrame, models: Sequence[str], trials: Mapping[str, int]) -> list[dict[str, Any]]:
    """Each attack's equal error rate for each of `models`, as rows of `ATTACK_COLUMNS`: attacks in the task's order,
    within an attack the models' order. `trials` is {attack: spoofed trials}, empty where unknown.
    """
    found = []
    for attack in attacks_of(results):
        found += _rows(results, f"{PREFIX}{attack}", models, attack, attack, trials.get(attack))
    return found


def summary_rows(results: pd.DataFrame, models: Sequence[str]) -> list[dict[str, Any]]:
    """The macro mean, the worst attack and the pooled rate of each of `models`, as rows of `ATTACK_COLUMNS`, model by
    model. `attack` names the one that is worst; of the other two it is empty.
    """
    worst = {model: _worst(results, model) for model in models}
    rows: list[dict[str, Any]] = []
    for metric, name in SUMMARY.items():
        rows += _rows(results, metric, models, name, "", None)
    for row in rows:
        if row["group"] == SUMMARY["eer_worst"]:
            row["attack"] = worst[row["model"]]
    order = list(SUMMARY.values())
    return sorted(rows, key=lambda row: (models.index(row["model"]), order.index(row["group"])))


def notes_of_all(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The notes that every row has, to be said once."""
    first = rows[0]["notes"] if rows else []
    return [note for note in first if all(note in row["notes"] for row in rows)]


def trials_per_attack(folder: str, model: str, task: str) -> dict[str, int]:
    """How many spoofed trials each attack has, by what a run kept; nothing where its evidence is gone."""
    from audiometry.benchmark.errors import DataError
    from audiometry.leaderboard.det import read_trials

    try:
        return {name: len(scores) for name, scores in read_trials(folder, model, task).spoof.items()}
    except DataError:
        return {}


def _rows(
    results: pd.DataFrame, metric: str, models: Sequence[str], group: str, attack: str, trials: int | None
) -> list[dict[str, Any]]:
    whole = {row["model"]: row for row in records(results[results["metric"] == metric]) if row["slice"] == "all"}
    there = [model for model in models if model in whole]
    control = next((whole[model] for model in there if is_shortcut(model)), None)
    kept = ("model", "value", "low", "high", "unit", "n", "failed", "control", "origin", "run", "created")
    return [
        {
            "group": group, "attack": attack, "trials": trials, **{name: whole[model][name] for name in kept},
            "against_shortcut": "" if control is None or is_shortcut(model) else _against(whole[model], control),
            "notes": list(whole[model]["notes"]),
        }
        for model in there
    ]  # fmt: skip


def _against(row: Mapping[str, Any], control: Mapping[str, Any]) -> str:
    """How a detector's interval lies to the control's; a lower rate is better."""
    if not (row["low"] <= row["high"] and control["low"] <= control["high"]):  # NaN: no interval
        return "unknown: no interval"
    if row["high"] < control["low"]:
        return "better than shortcut"
    if row["low"] > control["high"]:
        return "worse than shortcut"
    return "not told apart"


def _worst(results: pd.DataFrame, model: str) -> str:
    """The attack with the highest rate of a model; empty where no attack has one of its own."""
    mine = results[(results["model"] == model) & (results["slice"] == "all") & results["value"].notna()]
    rates = {row["metric"]: row["value"] for row in records(mine) if row["metric"].startswith(PREFIX)}
    return max(rates, key=rates.__getitem__).removeprefix(PREFIX) if rates else ""
