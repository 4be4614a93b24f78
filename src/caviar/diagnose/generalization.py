"""Does it carry over from the rows it is trained on to others?"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from caviar.diagnose.contract import Check, Clear, Found, NotApplicable, Outcome
from caviar.diagnose.evidence import Evidence
from caviar.diagnose.learning import shortfall
from caviar.evaluate.intervals import proportion_estimate


def overfits(
    evidence: Evidence,
    *,
    rise: float = 0.05,
    window: float = 0.1,
    steps: float = 3.0,
    share: float = 0.5,
    least: int = 10,
    few: float = 0.1,
) -> Outcome:
    """The held-out loss rises again while the training loss falls.

    Severity is the median rise: the share of what training gained that was lost again.

    Of a small table some folds only may hold out the rows that cost so much: it also counts if the mean of all
    trainings ends above where it was after the first epoch.

    Args:
        evidence: What was measured.
        rise: The held-out loss must end above its lowest point by this share of its fall to that point. Two and a
            half times what counts as a practical difference in a trial. On scikit-learn's tables, recipes that
            had nothing to gain from stopping early rose by 0.02 at most, those that had much by 0.13 and more.
        window: Share of the epochs, at least three, whose median is one point: one lucky epoch is no turning point.
        steps: The rise must also exceed so many of the curve's median step from one epoch to the next, or it may be
            a wiggle: the lowest of many points lies low by chance.
        share: Share of members that must show it.
        least: Fewest epochs that can show a turning point.
        few: Share of members that must show it where the mean of all shows it too: one may be an accident.
    """
    if evidence.held_out_loss is None:
        return NotApplicable("the held-out loss was not recorded")
    epochs = evidence.held_out_loss.shape[1]
    if epochs < least:
        return NotApplicable(f"{epochs} epochs are too few to see a turning point")
    known = np.isfinite(evidence.held_out_loss).all(axis=1) & np.isfinite(evidence.loss).all(axis=1)
    if not known.any():
        return NotApplicable("no training recorded finite losses to its end")
    held, train = evidence.held_out_loss[known].astype(float), evidence.loss[known].astype(float)
    width = max(3, round(window * epochs))
    smooth = np.median(sliding_window_view(held, width, axis=1), axis=2)
    lowest, turn = smooth.min(axis=1), smooth.argmin(axis=1) + width // 2
    # Where the held-out loss hardly fell, its wiggles are no measure: a quarter of the training loss's fall is.
    learned = np.maximum(held[:, 0] - lowest, (train[:, 0] - train[:, -1]) / 4)
    risen = (smooth[:, -1] - lowest) / np.maximum(learned, 1e-12)
    wiggle = np.median(np.abs(np.diff(held, axis=1)), axis=1)
    surely = smooth[:, -1] - lowest > steps * wiggle
    over = surely & (risen > rise) & (train[:, -1] < train[np.arange(len(train)), turn])
    rate = proportion_estimate(int(over.sum()), len(over))
    numbers = {
        "rise as a share of what was learned": float(np.median(risen)),
        "epoch of the lowest held-out loss": float(np.median(turn + 1)),
        "epochs": float(epochs),
        "members": float(len(over)),
        "overfitting": float(over.sum()),
    }
    mean, fitted = held.mean(axis=0), train.mean(axis=0)
    begun, ended = float(mean[0]), float(np.median(mean[-width:]))
    all_lost = ended - begun > steps * float(np.median(np.abs(np.diff(mean)))) and fitted[-1] < fitted[0]
    numbers |= {"held-out loss after the first epoch, mean": begun, "at the end": ended}
    sentence = (
        f"In {int(over.sum())} of {len(over)} trainings the held-out loss turned and rose by more than {rise:.0%} of "
        f"what was learned while the training loss kept falling (median of all: lowest at epoch "
        f"{np.median(turn + 1):.0f} of {epochs}, rise {np.median(risen):.0%})."
    )
    if over.mean() > share:
        return Found(sentence, float(np.clip(np.median(risen), 0, 1)), rate, numbers)
    if all_lost and over.mean() > few:
        told = f"{sentence} On average it ends at {ended:.3g}, above the {begun:.3g} after the first epoch."
        return Found(told, 1.0, rate, numbers)
    return Clear(sentence, numbers)


def carries_over_badly(evidence: Evidence, *, share: float = 0.1) -> Outcome:
    """The network fits its training rows well, but a simple model is better on rows that neither saw.

    Args:
        evidence: What was measured.
        share: It must be worse by this share of the distance from no skill to the best that anything reached,
            five times what counts as a practical difference in a trial; and surely so, or even worse than a constant.
    """
    if evidence.fit_scores is None:
        return NotApplicable("the training rows were not scored")
    if not evidence.has_reference:
        return NotApplicable("no simple model is better than a constant prediction")
    if not np.isfinite(evidence.fit_scores).any() or not np.isfinite(evidence.scores).any():
        return NotApplicable("no training ended with finite predictions")
    fitted, behind = shortfall(evidence, evidence.fit_scores), shortfall(evidence, evidence.scores)
    share_lost = behind.value / evidence.distance
    numbers = {
        f"gap in {evidence.metric} between training and held-out rows": behind.value - fitted.value,
        "behind the best reference row on held-out rows": behind.value,
        "share of the distance from no skill": share_lost,
    }
    where = "behind" if behind.value > 0 else "ahead of"
    sentence = (
        f"Held-out rows cost {behind.value - fitted.value:.3g} in {evidence.metric} against training rows; there the "
        f"network ends {abs(behind.value):.3g} {where} the best reference row ({evidence.best_reference:.3g}): "
        f"{abs(share_lost):.0%} of the distance from no skill."
    )
    constant = -evidence.better_by(np.array(evidence.no_skill), evidence.best_reference or 0.0)
    if fitted.value <= 0 and share_lost > share and (behind.low > 0 or behind.value > constant):
        return Found(sentence, float(np.clip(share_lost, 0, 1)), None, numbers)
    return Clear(sentence, numbers)


def overtrained(
    evidence: Evidence, *, early: float = 0.5, rise: float = 0.02, window: float = 0.1, share: float = 0.5
) -> Outcome:
    """The held-out loss has its lowest point in the first half of training, and what follows only makes it worse.

    Milder than overfitting: the rise may be small.

    Args:
        evidence: What was measured.
        early: Share of the epochs before which the lowest point must lie.
        rise: Share of its fall by which the held-out loss must end above it: what counts as a practical difference
            in a trial.
        window: Share of the epochs, at least three, whose median is one point.
        share: Share of members that must show it.
    """
    if evidence.held_out_loss is None:
        return NotApplicable("the held-out loss was not recorded")
    epochs = evidence.held_out_loss.shape[1]
    held = evidence.held_out_loss[np.isfinite(evidence.held_out_loss).all(axis=1)].astype(float)
    if epochs < 10 or not len(held):
        return NotApplicable("too few epochs, or no training recorded finite losses to its end")
    width = max(3, round(window * epochs))
    smooth = np.median(sliding_window_view(held, width, axis=1), axis=2)
    lowest, turn = smooth.min(axis=1), smooth.argmin(axis=1) + width // 2 + 1
    risen = smooth[:, -1] - lowest
    wiggle = np.median(np.abs(np.diff(held, axis=1)), axis=1)
    over = (turn < early * epochs) & (risen > rise * (held[:, 0] - lowest)) & (risen > 3 * wiggle)
    rate = proportion_estimate(int(over.sum()), len(over))
    lost = float(np.median(risen / np.maximum(held[:, 0] - lowest, 1e-12)))
    numbers = {
        "epoch of the lowest held-out loss": float(np.median(turn)),
        "epochs": float(epochs),
        "rise as a share of its fall": lost,
        "members": float(len(over)),
        "overtrained": float(over.sum()),
    }
    sentence = (
        f"In {int(over.sum())} of {len(over)} trainings the held-out loss was lowest in the first half and ended above "
        f"that (median of all: epoch {np.median(turn):.0f} of {epochs}, rise {min(lost, 1):.0%} of its fall)."
    )
    if over.mean() > share:
        return Found(sentence, float(np.clip(lost, 0, 1)), rate, numbers)
    return Clear(sentence, numbers)


GENERALIZATION = (
    Check(
        "G01",
        "The network overfits",
        "generalization",
        "overfitting",
        overfits,
        why="What is learned after the turning point holds for the training rows only.",
        evident=True,
    ),
    Check(
        "G02",
        "The network carries over badly",
        "generalization",
        "missing_regularisation",
        carries_over_badly,
        why="What the network learned does not hold for other rows as what a simple model learned does.",
        specific=False,
    ),
    Check(
        "G03",
        "The network is trained too long",
        "generalization",
        "epochs_too_many",
        overtrained,
        why="The second half of training costs time and gains nothing on other rows.",
    ),
)
