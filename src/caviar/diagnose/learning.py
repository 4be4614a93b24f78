"""Does it fit the rows it is trained on?"""

import warnings

import numpy as np

from caviar.diagnose.contract import Check, Clear, Found, NotApplicable, Outcome
from caviar.diagnose.evidence import Evidence
from caviar.estimate import Estimate
from caviar.evaluate.intervals import mean_estimate, proportion_estimate


def diverges(evidence: Evidence, *, factor: float = 2.0, share: float = 0.05) -> Outcome:
    """The loss stops being a number or ends far above its start, or the network ends far worse than a constant.

    "Far worse" means: on its own training rows it loses, against a constant prediction, more than the whole
    distance from no skill to the best that anything reached. A loss that exploded within the first epoch and
    stayed there shows only so. Where trainings end no higher than they can begin, nothing diverged: first weights
    may be that bad, and steps too small or too few to leave them.

    Args:
        evidence: What was measured.
        factor: Ratio of last to first training loss that counts as diverged. A loss that merely hovers stays
            well below 2; one that explodes grows by orders of magnitude.
        share: Share of trainings that may diverge; any training without finite predictions is one too many.
    """
    first, last = evidence.loss[:, 0], _last(evidence.loss)
    with np.errstate(invalid="ignore"):
        bad = (
            evidence.failed
            | ~np.isfinite(first)
            | ~np.isfinite(last)
            | (last > factor * np.abs(first) + 1e-12)
        )
    rate = proportion_estimate(int(bad.sum()), len(bad))
    numbers = {"members": float(len(bad)), "diverged": float(bad.sum())}
    clauses = [
        f"in {_of(bad)} trainings the loss became infinite or ended above {factor:g} times where it began"
    ]
    if evidence.fit_scores is not None:
        fitted = evidence.fit_scores[np.isfinite(evidence.fit_scores)]
        far = evidence.better_by(fitted, evidence.no_skill) < -evidence.distance
        numbers |= {"far worse than no skill": float(far.sum()), "scored on their own rows": float(len(far))}
        clauses.append(
            f"{_of(far)} end far worse than a constant prediction on the rows they were trained on"
        )
        begun, ended = _begun(evidence), float(np.median(np.where(np.isfinite(last), last, np.inf)))
        if far.any() and ended <= begun:
            numbers |= {"loss at the end, median": ended, "loss before the first step, highest": begun}
            clauses.append(
                f"the loss ends at {ended:.3g} (median), which is no higher than it can begin ({begun:.3g}): so bad "
                f"they were before their first step"
            )
        elif len(far) and far.mean() > bad.mean():
            rate = proportion_estimate(int(far.sum()), len(far))
            clauses.reverse()  # what shows it most comes first
    sentence = "; ".join(clauses)
    sentence = f"{sentence[0].upper()}{sentence[1:]}."
    if rate.value > share or evidence.failed.any():
        return Found(sentence, float(rate.value), rate, numbers)
    return Clear(sentence, numbers)


def does_not_learn(evidence: Evidence, *, share: float = 0.1, members: float = 0.1) -> Outcome:
    """On its own training rows the network is hardly better than a constant prediction.

    Args:
        evidence: What was measured.
        share: It must get this share of the way from no skill to the best reference row on rows it was trained
            on; one that learns anything passes it many times over.
        members: Share of trainings that may be stuck.
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
        f"{_of(stuck)} trainings end no better than a constant prediction even on the rows "
        f"they were trained on (median {evidence.metric} {np.median(fitted):.3g}, no skill {evidence.no_skill:.3g})."
    )
    if stuck.mean() > members:
        return Found(sentence, float(stuck.mean()), rate, numbers)
    return Clear(sentence, numbers)


def learns_too_slowly(
    evidence: Evidence, *, window: float = 0.2, still: float = 0.02, share: float = 0.5
) -> Outcome:
    """Both losses are still falling when training ends.

    Severity is the pace of the held-out loss at the end over its average pace: 1 where it falls in a straight line.

    Args:
        evidence: What was measured.
        window: Last share of the epochs that is looked at.
        still: The training loss must fall there by this share of its whole fall, and the held-out loss too.
            The default is the share that counts as a practical difference in a trial. On scikit-learn's tables,
            sound recipes brought at most 0.01 there, rates a hundred times too low 0.12 to 0.20.
        share: Share of members that must show it.
    """
    epochs = evidence.loss.shape[1]
    if epochs < 3:
        return NotApplicable(f"{epochs} epochs are too few to see whether the loss still falls")
    if evidence.held_out_loss is None:
        return NotApplicable("the held-out loss was not recorded")
    width = max(2, round(window * epochs))
    # On large tables most of the fall happens before the first epoch ends: where the loss has the score's unit,
    # the distance from no skill says how long the whole way was.
    least = evidence.distance if _is_score(evidence.held_out_loss, evidence.scores) else 0.0
    train, held = _fall(evidence.loss, width, least), _fall(evidence.held_out_loss, width, least)
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
        f"In {_of(slow)} trainings both losses were still falling: the last {width} of {epochs} "
        f"epochs brought {np.median(train[known]):.0%} of the training loss's fall and "
        f"{np.median(held[known]):.0%} of the held-out loss's (median)."
    )
    if slow.mean() > share:
        severity = float(np.clip(np.median(held[known]) / window, 0, 1))
        return Found(sentence, severity, rate, numbers)
    return Clear(sentence, numbers)


def underfits(evidence: Evidence, *, share: float = 0.1) -> Outcome:
    """Even on its own training rows the network is worse than a simple model is on rows it never saw.

    Args:
        evidence: What was measured.
        share: It must be worse by this share of the distance from no skill to the best that anything reached,
            five times what counts as a practical difference in a trial; and surely so.
    """
    if evidence.fit_scores is None:
        return NotApplicable("the training rows were not scored")
    if not evidence.has_reference:
        return NotApplicable("no simple model is better than a constant prediction")
    if not np.isfinite(evidence.fit_scores).any():
        return NotApplicable("no training ended with finite predictions")
    assert evidence.best_reference is not None
    behind = shortfall(evidence, evidence.fit_scores)
    share_lost = behind.value / evidence.distance
    numbers = {
        "behind the best reference row": behind.value,
        "share of the distance from no skill": share_lost,
        "best reference row on held-out rows": evidence.best_reference,
    }
    where = "behind" if behind.value > 0 else "ahead of"
    sentence = (
        f"On the rows they were trained on, trainings end {abs(behind.value):.3g} in {evidence.metric} {where} what "
        f"the best reference row reaches on held-out rows ({evidence.best_reference:.3g}): "
        f"{abs(share_lost):.0%} of the distance from no skill."
    )
    if share_lost > share and behind.low > 0:
        return Found(sentence, float(np.clip(share_lost, 0, 1)), None, numbers)
    return Clear(sentence, numbers)


def shortfall(evidence: Evidence, scores: np.ndarray) -> Estimate:
    """How far scores (repeat, fold) lie behind the best reference row, with its interval; above 0 is worse."""
    assert evidence.best_reference is not None
    behind = -evidence.better_by(scores, evidence.best_reference)
    return mean_estimate(behind, 1 / max(1, scores.shape[1] - 1))


def _begun(evidence: Evidence) -> float:
    """The highest loss that first weights give before the first step; minus infinity where it is not known."""
    losses = () if evidence.model is None else evidence.model.first_losses
    return max((loss for loss in losses if np.isfinite(loss)), default=-np.inf)


def _of(which: np.ndarray) -> str:
    return f"{int(which.sum())} of {len(which)}"


def _is_score(held_out_loss: np.ndarray, scores: np.ndarray, tolerance: float = 0.05) -> bool:
    """Whether the held-out loss is the deciding score: their medians at the end agree."""
    ends, known = _last(held_out_loss), scores[np.isfinite(scores)]
    ends = ends[np.isfinite(ends)]
    if not len(ends) or not len(known):
        return False
    return bool(abs(np.median(ends) - np.median(known)) <= tolerance * abs(np.median(known)))


def _last(curves: np.ndarray) -> np.ndarray:
    """The last recorded value of each member."""
    known = ~np.isnan(curves)
    position = np.where(known.any(axis=1), curves.shape[1] - 1 - known[:, ::-1].argmax(axis=1), 0)
    return np.take_along_axis(curves, position[:, None], axis=1)[:, 0]


def _fall(curves: np.ndarray, width: int, least: float) -> np.ndarray:
    """Share of each curve's whole fall that its last `width` epochs brought, by the medians of their halves.

    The whole fall counts as `least` if it is smaller.
    """
    half = max(1, width // 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # members that failed have no medians
        before = np.nanmedian(curves[:, -width : -width + half], axis=1)
        after = np.nanmedian(curves[:, -half:], axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        whole = np.maximum(curves[:, 0] - np.minimum(after, curves[:, 0]), least)
        share = np.where(whole > 0, (before - after) / whole, 0.0)
    # The halves' middles lie half a window apart (for an odd width, a little more).
    return np.where(np.isfinite(before - after), share * (width / (width - half)), np.nan)


LEARNING = (
    Check(
        "L01",
        "Training diverges",
        "learning",
        "diverging",
        diverges,
        why="A training that diverges has learned nothing, and may end in numbers that are none.",
        evident=True,
        specific=False,
    ),
    Check(
        "L02",
        "The network does not learn",
        "learning",
        "not_trained",
        does_not_learn,
        why="The network is then no better than a constant, on rows that it has seen.",
        evident=True,
        specific=False,
    ),
    Check(
        "L03",
        "The network learns too slowly",
        "learning",
        "slow_convergence",
        learns_too_slowly,
        why="There is more to learn than the epochs given allow, at this rate.",
        specific=False,
    ),
    Check(
        "L04",
        "The network underfits",
        "learning",
        "underfitting",
        underfits,
        why="A simple model already does better than the network does on its own training rows.",
        specific=False,
    ),
)
