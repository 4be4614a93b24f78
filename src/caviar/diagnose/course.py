"""Does training begin, move and end as it should?"""

import numpy as np

from caviar.diagnose.contract import Check, Clear, Found, NotApplicable, Outcome
from caviar.diagnose.evidence import Evidence
from caviar.diagnose.learning import shortfall
from caviar.evaluate.intervals import proportion_estimate


def first_loss(evidence: Evidence, *, classes: float = 3.0, values: float = 10.0) -> Outcome:
    """Before its first step the loss is far above that of a constant answer: ln of the classes, or the variance.

    Args:
        evidence: What is known.
        classes: Multiple of ln(classes) from which on a cross-entropy begins too high; uniform probabilities give 1,
            Glorot's weights on inputs of unit size 1 to 1.5 (look at the first loss: Karpathy, 2019).
        values: Multiple of the target's variance from which on a mean squared error does; outputs of unit size on a
            standardised target give about 2.
    """
    model, data = evidence.model, evidence.data
    if model is None or data is None:
        return NotApplicable("the model was not looked into")
    if data.n_classes > 1 and model.is_loss("crossentropy") and not model.is_loss("focal"):
        chance, limit, what = float(np.log(data.n_classes)), classes, f"ln({data.n_classes})"
    elif not data.n_classes and model.is_loss("meansquarederror") and data.target_deviation > 0:
        chance, limit, what = data.target_deviation**2, values, "the target's variance"
    else:
        return NotApplicable("for this loss it is not known what a constant answer costs")
    if not np.isfinite(model.first_loss):
        return NotApplicable("the first loss could not be computed")
    ratio = model.first_loss / chance
    numbers = {"first loss": model.first_loss, "of a constant answer": chance, "ratio": ratio}
    sentence = (
        f"Before its first step the loss is {model.first_loss:.3g}, {ratio:.2g} times {what} ({chance:.3g})."
    )
    if ratio > limit:
        return Found(sentence, float(np.clip(np.log10(ratio) / 4, 0.1, 1)), None, numbers)
    return Clear(sentence, numbers)


def plateau(
    evidence: Evidence, *, still: float = 0.02, behind: float = 0.1, share: float = 0.5, least: int = 10
) -> Outcome:
    """After the first tenth of training the loss hardly falls any more, although there is much left to fit.

    Args:
        evidence: What is known.
        still: Share of the loss by which it falls from the second tenth of the epochs to the last one at most.
        behind: Share of the distance from no skill by which training rows are still fitted worse than the best
            reference row predicts held-out ones; five times what counts as a practical difference in a trial.
        share: Share of members that must show it.
        least: Fewest epochs that have tenths.
    """
    if evidence.fit_scores is None or not evidence.has_reference:
        return NotApplicable("nothing says how much is left to fit")
    epochs = evidence.loss.shape[1]
    if epochs < least:
        return NotApplicable(f"{epochs} epochs are too few to see a plateau")
    loss = evidence.loss[np.isfinite(evidence.loss).all(axis=1)].astype(float)
    if not len(loss) or not np.isfinite(evidence.fit_scores).any():
        return NotApplicable("no training recorded finite losses to its end")
    tenth = max(1, epochs // 10)
    early, late = np.median(loss[:, tenth : 2 * tenth], axis=1), np.median(loss[:, -tenth:], axis=1)
    flat = early - late < still * np.abs(early)
    left = shortfall(evidence, evidence.fit_scores)
    rate = proportion_estimate(int(flat.sum()), len(flat))
    numbers = {
        "fall since the first tenth, median share": float(
            np.median((early - late) / np.maximum(np.abs(early), 1e-12))
        ),
        "behind the best reference row": left.value,
        "members": float(len(flat)),
        "flat": float(flat.sum()),
    }
    sentence = (
        f"In {int(flat.sum())} of {len(flat)} trainings the loss fell by less than {still:.0%} after the first tenth "
        f"of the epochs; training rows end {abs(left.value):.3g} in {evidence.metric} "
        f"{'behind' if left.value > 0 else 'ahead of'} what the best reference row reaches on held-out ones."
    )
    if flat.mean() > share and left.low > 0 and left.value > behind * evidence.distance:
        return Found(sentence, float(np.clip(left.value / evidence.distance, 0, 1)), rate, numbers)
    return Clear(sentence, numbers)


def inference_differs(evidence: Evidence, *, excess: float = 0.1, agrees: float = 0.05) -> Outcome:
    """With a batch normalization, training rows have a far higher loss in inference than while training.

    Dropout, penalties and the epoch's earlier steps make the loss while training the higher one, never this one.

    Args:
        evidence: What is known.
        excess: Share of the distance from no skill by which the score on training rows is worse than the last
            training loss; five times what counts as a practical difference in a trial.
        agrees: Largest relative difference between the held-out loss and the score (or its square) that lets one
            be read as the other.
    """
    if evidence.model is None or not any(
        layer.kind == "BatchNormalization" for layer in evidence.model.layers
    ):
        return NotApplicable("the network has no batch normalization")
    if evidence.fit_scores is None or evidence.held_out_loss is None or evidence.higher_is_better:
        return NotApplicable("training rows have no score that is a loss")
    loss, held = _end(evidence.loss), _end(evidence.held_out_loss)
    fitted, scored = _middle(evidence.fit_scores), _middle(evidence.scores)
    if not np.isfinite([loss, held, fitted, scored]).all():
        return NotApplicable("no training ended with finite predictions")
    power = next((p for p in (1, 2) if abs(scored**p - held) <= agrees * abs(held)), None)
    if power is None:
        return NotApplicable("the score is another one than the loss")
    above = fitted**power - loss
    whole = abs(evidence.no_skill**power - (evidence.no_skill - evidence.distance) ** power)
    numbers = {
        "training rows in inference": fitted**power,
        "loss while training": loss,
        "batch size": float(evidence.model.batch_size),
    }
    sentence = (
        f"The loss of training rows is {fitted**power:.3g} in inference and {loss:.3g} while training (median), with "
        f"batch normalization on {evidence.model.batch_size} rows at a time."
    )
    if above > excess * whole:
        return Found(sentence, float(np.clip(above / whole, 0, 1)), None, numbers)
    return Clear(sentence, numbers)


def _end(curves: np.ndarray) -> float:
    """Median over members of the last recorded value of their curves (member, epoch)."""
    last = [curve[np.isfinite(curve)][-1] for curve in curves if np.isfinite(curve).any()]
    return float(np.median(last)) if last else float("nan")


def _middle(scores: np.ndarray) -> float:
    known = scores[np.isfinite(scores)]
    return float(np.median(known)) if len(known) else float("nan")


COURSE = (
    Check(
        "L17",
        "The loss begins too high",
        "learning",
        "init",
        first_loss,
        why="First steps are then spent on taking back what the first weights say, or blow up.",
        specific=False,
    ),
    Check(
        "L18",
        "The loss is stuck on a plateau",
        "learning",
        "slow_convergence",
        plateau,
        why="There is more to fit, and the network has stopped getting there.",
        specific=False,
    ),
    Check(
        "L19",
        "Inference differs from training",
        "learning",
        "batch_size",
        inference_differs,
        why="Statistics of small batches differ from those that inference uses: what was trained is not what predicts.",
        specific=False,
    ),
)
