"""What do the experiments show that were run because something looked wrong?"""

import numpy as np

from caviar.diagnose.contract import Check, Clear, Found, NotApplicable, Outcome
from caviar.diagnose.evidence import Evidence


def cannot_fit_one_batch(evidence: Evidence, *, share: float = 0.9) -> Outcome:
    """Trained on one batch alone, the network does not fit it, at any of three rates.

    Severity is the share that is missing. Where a range test prefers a rate that is not among them, they say nothing.

    Args:
        evidence: What is known.
        share: Of the way from a constant answer to a perfect one, by the median over seeds at the best rate. A
            network with more weights than the batch has rows can go all of it. (Goodfellow et al., 2016, 11.5)
    """
    tried = evidence.one_batch
    if tried is None:
        return NotApplicable(evidence.untried("overfit-one-batch"))
    numbers = {
        "rows": float(tried.rows),
        "steps": float(tried.steps),
        "share of the way, at the best rate": tried.best,
    }
    sentence = (
        f"Trained on {tried.rows} rows alone for {tried.steps} steps, at rates from {tried.rates[0]:.2g} to "
        f"{tried.rates[-1]:.2g}, the network gets {tried.best:.0%} of the way from a constant answer to a perfect one."
    )
    prefers = None if evidence.range_test is None else evidence.range_test.prefers()
    if tried.best < share and prefers is not None and not tried.rates[0] <= prefers <= tried.rates[-1]:
        return Clear(f"{sentence} But a range test prefers {prefers:.2g}, which is not among them.", numbers)
    if tried.best < share:
        return Found(sentence, float(np.clip(1 - tried.best, 0, 1)), None, numbers)
    return Clear(f"{sentence} What keeps it from fitting more is not how it is wired.", numbers)


def wrong_gradients(evidence: Evidence, *, tolerance: float = 1e-3) -> Outcome:
    """The gradients that the training step follows are not those of the loss that it reports.

    Args:
        evidence: What is known.
        tolerance: Relative error of a weight array's slope along random directions, in double precision. Central
            differences with steps of 0.00001 are off by about 0.0000000001; kinks, as those of ReLUs, can bring
            1e-4. Gradients that are not meant to be those of the loss (straight-through estimators, gradients that
            are stopped on purpose) show here too.
    """
    tried = evidence.differences
    if tried is None:
        return NotApplicable(evidence.untried("finite-differences"))
    if not tried.errors:
        return NotApplicable("there are no weights to train")
    off = {name: error for name, error in tried.errors.items() if not error <= tolerance}
    worst = max(tried.errors, key=lambda name: tried.errors[name])
    numbers = {
        "weight arrays": float(len(tried.errors)),
        "wrong": float(len(off)),
        "largest error": tried.errors[worst],
    }
    sentence = (
        f"In {len(off)} of {len(tried.errors)} weight arrays the gradient differs from that of the loss by more than "
        f"{tolerance:g} of its size (largest: {worst}, {tried.errors[worst]:.2g})."
    )
    if off:
        return Found(sentence, float(len(off) / len(tried.errors)), None, numbers)
    return Clear(sentence, numbers)


def climbs(evidence: Evidence, *, share: float = 0.1) -> Outcome:
    """The training step climbs the loss that it reports, and the network does not learn.

    The loss's slope along the step is computed in double precision, on the weights as they begin. Steps that climb
    on purpose (an adversary's) are no fault where the network learns.

    Args:
        evidence: What is known.
        share: Of the distance from no skill, that a network which learns gets on its own training rows.
    """
    tried = evidence.differences
    if tried is None:
        return NotApplicable(evidence.untried("finite-differences"))
    if evidence.fit_scores is None:
        return NotApplicable("the training rows were not scored")
    fitted = np.nan_to_num(evidence.better_by(evidence.fit_scores, evidence.no_skill), nan=-np.inf)
    learned = float(np.median(fitted)) > max(evidence.rope, share * evidence.distance)
    numbers = {"slope along the step's gradient, over its norm": tried.slope}
    sentence = f"Along what a step takes off the weights the loss rises by {tried.slope:.2g} times that gradient's norm"
    if tried.slope < 0 and not learned:
        told = f"{sentence}: it leads uphill, and the network is hardly better than a constant on its training rows."
        return Found(told, 1.0, None, numbers)
    return Clear(f"{sentence}.", numbers)


def rate_below_best(evidence: Evidence) -> Outcome:
    """A range test prefers a rate at least three times as high: it ends with a held-out loss that is surely lower."""
    return _rate(evidence, higher=True)


def rate_above_best(evidence: Evidence) -> Outcome:
    """A range test prefers a rate of a third or less: it ends with a held-out loss that is surely lower."""
    return _rate(evidence, higher=False)


def _rate(evidence: Evidence, *, higher: bool) -> Outcome:
    tried = evidence.range_test
    if tried is None:
        return NotApplicable(evidence.untried("range-test"))
    best = tried.prefers()
    numbers = {"rate": tried.own, "epochs": float(tried.epochs)} | tried.numbers()
    sentence = f"{tried.in_words()} The recipe's is {tried.own:.2g}."
    if best is not None and (best > tried.own) == higher:
        return Found(sentence, float(min(1.0, abs(np.log10(best / tried.own)) / 4)), None, numbers)
    return Clear(sentence, numbers)


def memorises(evidence: Evidence, *, share: float = 0.8, gap: float = 0.1) -> Outcome:
    """Labels dealt out at random are fitted about as well as the real ones, which are fitted better than held-out rows.

    Args:
        evidence: What is known.
        share: Of what the network gains over a constant on its training rows, what it gains with random labels on
            theirs. Networks that can do so have learned their rows by heart (Zhang et al., 2017).
        gap: Share of the distance from no skill by which training rows are scored better than held-out ones, five
            times what counts as a practical difference in a trial: without it nothing is lost by that.
    """
    tried = evidence.permuted
    if tried is None:
        return NotApplicable(evidence.untried("permuted-labels"))
    if evidence.fit_scores is None:
        return NotApplicable("the training rows were not scored")
    real, dealt = _median(evidence.fit_scores), _median(tried.fit_scores)
    held_out = _median(evidence.scores)
    if not np.isfinite([real, dealt, held_out]).all():
        return NotApplicable("no training ended with finite predictions")
    gained = float(evidence.better_by(np.array(real), evidence.no_skill))
    by_heart = float(evidence.better_by(np.array(dealt), evidence.no_skill))
    lost = float(evidence.better_by(np.array(real), held_out)) / evidence.distance
    numbers = {
        "score on training rows": real,
        "score on training rows, labels at random": dealt,
        "score on held-out rows, labels at random": _median(tried.held_out_scores),
        "gap to held-out rows, as a share of the distance from no skill": lost,
    }
    sentence = (
        f"With labels dealt out at random the network reaches {dealt:.3g} in {evidence.metric} on its training rows, "
        f"with the real ones {real:.3g} there and {held_out:.3g} on held-out rows (no skill {evidence.no_skill:.3g})."
    )
    if gained > evidence.rope and by_heart > share * gained and lost > gap:
        return Found(sentence, float(np.clip(lost, 0, 1)), None, numbers)
    return Clear(sentence, numbers)


def _median(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")


TRIED_LEARNING = (
    Check(
        "L13",
        "One batch cannot be fitted",
        "learning",
        "not_trained",
        cannot_fit_one_batch,
        why="What cannot fit a handful of rows does not fail for want of time or rows: it is wired so, or too small.",
        specific=False,
    ),
    Check(
        "L14",
        "Gradients are not those of the loss",
        "learning",
        "wrong_gradient",
        wrong_gradients,
        why="Training then goes where the loss does not fall.",
        by_hand="Mend the person's own code: write it with differentiable operations of `keras.ops`, and look "
        "for stopped gradients, rounding, comparisons and `argmax` on the way to the loss.",
    ),
    Check(
        "L20",
        "The training step climbs",
        "learning",
        "wrong_gradient_sign",
        climbs,
        why="Each step then makes worse what it is meant to make better.",
        evident=True,
        by_hand="Mend the training step: it must apply the gradient of the loss that it reports, and not its "
        "negative.",
    ),
    Check(
        "L15",
        "A higher learning rate gets further",
        "learning",
        "learning_rate_low",
        rate_below_best,
        why="At its own rate the recipe does not arrive within its epochs.",
    ),
    Check(
        "L16",
        "A lower learning rate gets further",
        "learning",
        "learning_rate_high",
        rate_above_best,
        why="At its own rate the recipe jumps over what a lower one finds.",
    ),
)

TRIED_GENERALIZATION = (
    Check(
        "G04",
        "The network learns by heart",
        "generalization",
        "missing_regularisation",
        memorises,
        why="A network that fits anything needs something that holds it back, or more rows.",
        specific=False,
    ),
)
