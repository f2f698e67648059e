"""The control of spoof detection, `shortcut`, where it must find a leak, in-domain at E0, and where it must not, at E4.

In-domain: five folds over the prompts of the training trials, so that speakers and attacks are the same and the words
are not. At E0, where nothing is made equal, it must be far below chance. Then the seven attacks that no detector was
trained on, at E4: for each its equal error rate under the shipped control, and the feature that alone separates it best
(area under the curve, 0.5 is chance), which says what leaks. The value is the in-domain macro equal error rate at E0 as
a fraction.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from numpy.typing import NDArray

from audiometry.models.baselines import shortcut
from audiometry.models.baselines.saved import SavedDetector, load, weights_file
from audiometry.models.baselines.shortcut_features import FEATURES, shortcut_features
from audiometry.models.baselines.trial_data import TrialData, development_rates, load_trials
from audiometry.tasks.corpora.spoof.embedded import open_embedded

FOLDS = 5


def part(data: TrialData, chosen: NDArray[np.bool_]) -> TrialData:
    """Some of the trials."""
    rows = np.flatnonzero(chosen)
    return TrialData(
        [data.waveforms[i] for i in rows], data.bona_fide[rows], [data.attacks[i] for i in rows],
        [data.sources[i] for i in rows],
    )  # fmt: skip


def scored(detector: SavedDetector, data: TrialData) -> NDArray[np.float64]:
    """Raw scores of all trials."""
    score = shortcut.restore(detector)
    return np.array([score(waveform) for waveform in data.waveforms])


def in_domain(data: TrialData) -> float:
    """The macro equal error rate over folds; each trial is scored by a control that heard none of its prompt."""
    prompts = {name: place % FOLDS for place, name in enumerate(sorted(set(data.sources)))}
    fold = np.array([prompts[source] for source in data.sources])
    scores = np.zeros(len(data))
    for number in range(FOLDS):
        rest, held = part(data, fold != number), part(data, fold == number)
        found = shortcut.fit(rest, rest, seed=0, report=lambda _: None, level="E0")
        scores[fold == number] = scored(found, held)
    rates = development_rates(scores, data)
    for attack, rate in rates.groups.items():
        print(f"  {attack:20} {100 * rate.value:5.1f} %")
    return rates.macro


def leaks(data: TrialData) -> None:
    """What separates each attack best."""
    from sklearn.metrics import roc_auc_score

    rates = development_rates(scored(load(weights_file("shortcut"), kind="shortcut"), data), data)
    features = np.stack([shortcut_features(waveform) for waveform in data.waveforms])
    attacks = np.array(data.attacks)
    for attack, rate in rates.groups.items():
        chosen = data.bona_fide | (attacks == attack)
        areas = [roc_auc_score(data.bona_fide[chosen], features[chosen, place]) for place in range(len(FEATURES))]
        best = int(np.argmax(np.abs(np.array(areas) - 0.5)))
        print(f"  {attack:20} {100 * rate.value:5.1f} %, best alone: {FEATURES[best]} ({areas[best]:.2f})")
    print(f"  macro {100 * rates.macro:.1f} %, worst {100 * rates.worst:.1f} %")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="the same: all trials are taken anyway")
    parser.parse_args()
    corpus = open_embedded()
    print("in-domain at E0, by folds over prompts")
    found = in_domain(load_trials(corpus.trials("train", "E0")))
    print("attacks not trained on, at E4")
    leaks(load_trials(corpus.trials("unseen-attack", "E4")))
    print(f"control in-domain at E0: {100 * found:.1f} % (15 % is asked, chance 50 %), value {found:.3f}")


if __name__ == "__main__":
    sys.exit(main())
