"""Do gradients, units and updates inside the members look as they should?"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from caviar.diagnose.contract import Check, Clear, Found, NotApplicable, Outcome
from caviar.diagnose.evidence import Evidence
from caviar.evaluate.intervals import proportion_estimate

# Numbers (member, epoch, layer) of a probed variable, and the layers' names.
Probed = tuple[np.ndarray, list[str]]


def _probed(evidence: Evidence, name: str) -> Probed | None:
    """A probed variable where at least one layer has it; None where it is not known."""
    if evidence.probes is None or name not in evidence.probes:
        return None
    values = evidence.probes[name].values.astype(float)
    known = np.isfinite(values).any(axis=(0, 1))
    if not known.any():
        return None
    layers = [str(layer) for layer in evidence.probes["layer"].values]
    return values[:, :, known], [layer for layer, has in zip(layers, known, strict=True) if has]


def _kernels_of(evidence: Evidence, probed: Probed) -> np.ndarray:
    """A probed variable of the layers with kernels only, in the model's order."""
    values, names = probed
    if evidence.model is None:
        return values
    kept = [i for i, name in enumerate(names) if name in {layer.name for layer in evidence.model.kernels}]
    return values[:, :, kept]


def vanishing_gradient(evidence: Evidence, *, ratio: float = 1e-2, share: float = 0.3) -> Outcome:
    """Gradients of the first layers are far smaller than those of the last one.

    Args:
        evidence: What is known.
        ratio: Norm of the first layer's gradient over that of the last one, median over the first half of training.
            In networks of Glorot's kind it stays near 1 (Glorot & Bengio, 2010).
        share: Share of members that must show it.
    """
    probed = _probed(evidence, "gradient_norm")
    if probed is None:
        return NotApplicable("gradients were not looked at")
    values = _kernels_of(evidence, probed)
    if values.shape[2] < 3:
        return NotApplicable("the network has fewer than two hidden layers")
    early = values[:, : max(1, values.shape[1] // 2)]
    with np.errstate(all="ignore"):
        ratios = _median(early[:, :, 0] / early[:, :, -1])
    return _members(
        ratios < ratio,
        share,
        f"the first layer's gradient was smaller than {ratio:g} times the last one's",
        {"first over last, median": _middle(ratios)},
    )


def exploding_gradient(evidence: Evidence, *, norm: float = 100.0, share: float = 0.3) -> Outcome:
    """Gradients are huge.

    Args:
        evidence: What is known.
        norm: Usual thresholds for clipping are 1 to 10 (Pascanu et al., 2013).
        share: Share of members that must show it.
    """
    probed = _probed(evidence, "gradient_norm")
    if probed is None:
        return NotApplicable("gradients were not looked at")
    values = np.where(np.isfinite(probed[0]), probed[0], np.inf if evidence.failed.any() else 0.0)
    largest = values.max(axis=(1, 2))
    return _members(
        largest > norm,
        share,
        f"a layer's gradient had a norm above {norm:g}",
        {"largest norm, median": _middle(np.where(np.isfinite(largest), largest, np.nan))},
    )


def dead_units(evidence: Evidence, *, dead: float = 0.5, share: float = 0.1) -> Outcome:
    """Most ReLU units of a layer are zero for every row, and get no gradient any more.

    Args:
        evidence: What is known.
        dead: Share of a layer's units, at the last probes.
        share: Share of members that must show it.
    """
    probed = _probed(evidence, "dead")
    if probed is None:
        return NotApplicable("the network has no ReLU units, or they were not looked at")
    worst = _median(probed[0][:, -3:].max(axis=2))
    return _members(
        worst > dead,
        share,
        f"more than {dead:.0%} of a layer's ReLU units ended dead",
        {"dead share of the worst layer, median": _middle(worst)},
    )


def saturated_units(evidence: Evidence, *, saturated: float = 0.6, share: float = 0.3) -> Outcome:
    """Most outputs of a bounded hidden activation lie at its bounds, where its slope is nearly zero.

    Args:
        evidence: What is known.
        saturated: Share of a layer's outputs in the outer 5 % of the range, at the last probes.
        share: Share of members that must show it.
    """
    probed = _probed(evidence, "saturated")
    if probed is None:
        return NotApplicable("the network has no bounded activations, or they were not looked at")
    values, names = probed
    last = evidence.model.layers[-1].name if evidence.model is not None and evidence.model.layers else ""
    hidden = [i for i, name in enumerate(names) if name != last]
    if not hidden:
        return NotApplicable("only the last activation is bounded")
    worst = _median(values[:, -3:, hidden].max(axis=2))
    return _members(
        worst > saturated,
        share,
        f"more than {saturated:.0%} of a hidden layer's outputs ended at its bounds",
        {"saturated share of the worst layer, median": _middle(worst)},
    )


def large_updates(evidence: Evidence, *, ratio: float = 0.1, share: float = 0.5) -> Outcome:
    """Each step changes the weights by a good part of their size.

    Args:
        evidence: What is known.
        ratio: Norm of the change over that of the weights, median over the second half of training; about 0.001 is
            a common rule of thumb, 0.0001 to 0.1 its usual range.
        share: Share of members that must show it.
    """
    return _updates(evidence, lambda ratios: ratios > ratio, share, f"larger than {ratio:g}")


def small_updates(evidence: Evidence, *, ratio: float = 1e-5, share: float = 0.5) -> Outcome:
    """Each step changes the weights by next to nothing, from the beginning.

    Args:
        evidence: What is known.
        ratio: Norm of the change over that of the weights, median over the first half of training.
        share: Share of members that must show it.
    """
    return _updates(evidence, lambda ratios: ratios < ratio, share, f"smaller than {ratio:g}", early=True)


def _updates(
    evidence: Evidence,
    wrong: Callable[[np.ndarray], np.ndarray],
    share: float,
    words: str,
    *,
    early: bool = False,
) -> Outcome:
    probed = _probed(evidence, "update_ratio")
    if probed is None:
        return NotApplicable("updates were not looked at")
    values = _kernels_of(evidence, probed)
    if not values.size:
        return NotApplicable("no layer has a kernel")
    half = max(1, values.shape[1] // 2)
    part = values[:, :half] if early else values[:, -half:]
    ratios = _median(_median(part.transpose(0, 2, 1)))
    outcome = _members(
        wrong(ratios),
        share,
        f"updates were {words} times the weights",
        {"update ratio, median": _middle(ratios)},
    )
    tested, more = evidence.tested_rates()
    if not isinstance(outcome, Found):
        return outcome
    return replace(outcome, sentence=outcome.sentence + tested, evidence=outcome.evidence | more)


def oscillates(evidence: Evidence, *, rough: float = 0.1, ups: float = 0.3, share: float = 0.5) -> Outcome:
    """The training loss jumps up and down to the end, instead of settling.

    Args:
        evidence: What is known.
        rough: Median size of the loss's steps from epoch to epoch in the second half, as a share of what was
            gained in all.
        ups: Share of these steps that must lead upwards.
        share: Share of members that must show it.
    """
    epochs = evidence.loss.shape[1]
    if epochs < 10:
        return NotApplicable(f"{epochs} epochs are too few to see whether the loss settles")
    loss = evidence.loss[np.isfinite(evidence.loss).all(axis=1)].astype(float)
    if not len(loss):
        return NotApplicable("no training recorded finite losses to its end")
    steps = np.diff(loss[:, epochs // 2 :], axis=1)
    gained = np.maximum(loss[:, 0] - loss.min(axis=1), 1e-12)
    size = np.median(np.abs(steps), axis=1) / gained
    return _members(
        (size > rough) & ((steps > 0).mean(axis=1) > ups),
        share,
        f"the training loss still moved up and down by more than {rough:.0%} of what was gained, from epoch to epoch",
        {"size of the moves, median": _middle(size)},
    )


def one_class(evidence: Evidence, *, share: float = 0.3) -> Outcome:
    """The network answers with one class, whatever the row.

    Args:
        evidence: What is known.
        share: Share of members that must do so.
    """
    if evidence.one_class is None:
        return NotApplicable("the target is a quantity")
    return _members(evidence.one_class, share, "every row got the same class", {})


def _members(which: np.ndarray, share: float, words: str, numbers: dict[str, float]) -> Outcome:
    which = np.asarray(which, dtype=bool)
    rate = proportion_estimate(int(which.sum()), len(which))
    numbers = numbers | {"members": float(len(which)), "showing it": float(which.sum())}
    sentence = f"In {int(which.sum())} of {len(which)} trainings {words}."
    if which.mean() > share:
        return Found(sentence, float(which.mean()) / 2, rate, numbers)
    return Clear(sentence, numbers)


def _median(values: np.ndarray) -> np.ndarray:
    """Median over the last axis of a (member, …) array, or over all but the first; NaN counts for nothing."""
    flat = values.reshape(len(values), -1) if values.ndim == 2 else values
    known = np.isfinite(flat)
    filled = np.where(known, flat, np.nan)
    with np.errstate(all="ignore"):
        return np.array(
            [np.nan if not k.any() else np.nanmedian(v) for v, k in _rows(filled, known)]
        ).reshape(flat.shape[:-1])


def _rows(values: np.ndarray, known: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    width = values.shape[-1]
    return list(zip(values.reshape(-1, width), known.reshape(-1, width), strict=True))


def _middle(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")


INSIDE = (
    Check(
        "L05",
        "Gradients vanish",
        "learning",
        "vanishing_gradient",
        vanishing_gradient,
        why="The first layers then hardly learn, and the last ones see noise.",
    ),
    Check(
        "L06",
        "Gradients explode",
        "learning",
        "exploding_gradient",
        exploding_gradient,
        why="Single steps then undo many others.",
    ),
    Check(
        "L07",
        "Units die",
        "learning",
        "dead_relu",
        dead_units,
        why="Dead units get no gradient, so they stay dead: the network is smaller than it looks.",
    ),
    Check(
        "L08",
        "Units saturate",
        "learning",
        "saturated",
        saturated_units,
        why="At its bounds an activation is flat, so that hardly any gradient passes.",
    ),
    Check(
        "L09",
        "Steps are too large",
        "learning",
        "learning_rate_high",
        large_updates,
        why="Weights are then rewritten faster than they can settle.",
    ),
    Check(
        "L10",
        "Steps are too small",
        "learning",
        "learning_rate_low",
        small_updates,
        why="Weights then stay close to where they began.",
    ),
    Check(
        "L11",
        "The loss oscillates",
        "learning",
        "oscillating_loss",
        oscillates,
        why="Where training happens to stop then decides how good the network is.",
        specific=False,
    ),
    Check(
        "L12",
        "One class for all rows",
        "learning",
        "not_trained",
        one_class,
        why="The network has found that one answer is cheapest, and looks no further.",
        specific=False,
    ),
)
