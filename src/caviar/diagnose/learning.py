"""Does it fit the rows it is trained on?"""

import warnings

import numpy as np

from caviar.diagnose.contract import Check, Clear, Found, NotApplicable, Outcome
from caviar.diagnose.evidence import Evidence
from caviar.evaluate.intervals import proportion_estimate


def diverges(evidence: Evidence, *, factor: float = 2.0, share: float = 0.05) -> Outcome:
    """The loss stops being a number, or ends above `factor` times its first epoch's value.

    Args:
        evidence: What was measured.
        factor: Ratio of last to first training loss that counts as diverged (Keras users see it as "exploding").
        share: Share of members that must show it.
    """
    first, last = evidence.loss[:, 0], _last(evidence.loss)
    bad = evidence.failed | ~np.isfinite(first) | ~np.isfinite(last) | (last > factor * np.abs(first) + 1e-12)
    rate = proportion_estimate(int(bad.sum()), len(bad))
    numbers = {"members": float(len(bad)), "diverged": float(bad.sum())}
    if rate.value > share or evidence.failed.any():
        return Found(
            f"{int(bad.sum())} of {len(bad)} trainings diverged: their loss became infinite or ended above "
            f"{factor:g} times where it began.",
            float(rate.value),
            rate,
            numbers,
        )
    return Clear(
        f"No more than {int(bad.sum())} of {len(bad)} trainings ended above where they began.", numbers
    )


def does_not_learn(evidence: Evidence, *, share: float = 0.1) -> Outcome:
    """On its own training rows the network is hardly better than a constant prediction.

    Args:
        evidence: What was measured.
        share: It must get this share of the way from no skill to the best reference row on rows it was trained
            on; one that learns anything passes it many times over.
    """
    if evidence.fit_scores is None:
        return NotApplicable("the training rows were not scored")
    fitted = evidence.fit_scores[np.isfinite(evidence.fit_scores)]
    if not len(fitted):
        return NotApplicable("no training ended with finite predictions")
    needed = max(evidence.rope, share * evidence.distance)
    stuck = evidence.better_by(fitted, evidence.no_skill) < needed
    rate = proportion_estimate(int(stuck.sum()), len(stuck))
    numbers = {
        "score on training rows": float(np.median(fitted)),
        "no skill": evidence.no_skill,
        "stuck": float(stuck.sum()),
        "trainings": float(len(stuck)),
    }
    sentence = (
        f"{int(stuck.sum())} of {len(stuck)} trainings end no better than a constant prediction even on the rows "
        f"they were trained on (median {evidence.metric} {np.median(fitted):.3g}, no skill {evidence.no_skill:.3g})."
    )
    if stuck.mean() > 0.1:
        return Found(sentence, float(stuck.mean()), rate, numbers)
    return Clear(sentence.replace("0 of", "None of the", 1) if not stuck.any() else sentence, numbers)


def learns_too_slowly(
    evidence: Evidence, *, window: float = 0.2, still: float = 0.02, share: float = 0.5
) -> Outcome:
    """Both losses are still falling when training ends.

    Args:
        evidence: What was measured.
        window: Last share of the epochs that is looked at.
        still: The training loss must fall there by this share of its whole fall, and the held-out loss too.
        share: Share of members that must show it.
    """
    epochs = evidence.loss.shape[1]
    if epochs < 10:
        return NotApplicable(f"{epochs} epochs are too few to see whether the loss still falls")
    if evidence.held_out_loss is None:
        return NotApplicable("the held-out loss was not recorded")
    width = max(2, round(window * epochs))
    train, held = _fall(evidence.loss, width), _fall(evidence.held_out_loss, width)
    known = np.isfinite(train) & np.isfinite(held)
    if not known.any():
        return NotApplicable("no training recorded finite losses to its end")
    slow = (train[known] > still) & (held[known] > still)
    rate = proportion_estimate(int(slow.sum()), len(slow))
    numbers = {
        "share of the training loss's fall in the last part": float(np.median(train[known])),
        "share of the held-out loss's fall in the last part": float(np.median(held[known])),
        "members": float(len(slow)),
        "slow": float(slow.sum()),
    }
    sentence = (
        f"In {int(slow.sum())} of {len(slow)} trainings both losses were still falling: the last {width} of {epochs} "
        f"epochs brought {np.median(train[known]):.0%} of the training loss's fall and "
        f"{np.median(held[known]):.0%} of the held-out loss's (median)."
    )
    if slow.mean() > share:
        severity = float(np.clip(np.median(held[known]) * 2, 0, 1))
        return Found(sentence, severity, rate, numbers)
    return Clear(sentence, numbers)


def _last(curves: np.ndarray) -> np.ndarray:
    """The last recorded value of each member."""
    known = ~np.isnan(curves)
    position = np.where(known.any(axis=1), curves.shape[1] - 1 - known[:, ::-1].argmax(axis=1), 0)
    return np.take_along_axis(curves, position[:, None], axis=1)[:, 0]


def _fall(curves: np.ndarray, width: int) -> np.ndarray:
    """Share of each curve's whole fall that its last `width` epochs brought, by the medians of their halves."""
    half = max(1, width // 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # members that failed have no medians
        before = np.nanmedian(curves[:, -width : -width + half], axis=1)
        after = np.nanmedian(curves[:, -half:], axis=1)
    whole = curves[:, 0] - np.minimum(after, curves[:, 0])
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(whole > 0, (before - after) / whole, 0.0) * (width / max(1, width - half))


LEARNING = (
    Check("L01", "Training diverges", "learning", "diverging", diverges),
    Check("L02", "The network does not learn", "learning", "underfitting", does_not_learn),
    Check("L03", "The network learns too slowly", "learning", "slow_convergence", learns_too_slowly),
)
