"""Does it carry over from the rows it is trained on to others?"""

import numpy as np

from caviar.diagnose.contract import Check, Clear, Found, NotApplicable, Outcome
from caviar.diagnose.evidence import Evidence
from caviar.evaluate.intervals import proportion_estimate


def overfits(evidence: Evidence, *, rise: float = 0.1, share: float = 0.5) -> Outcome:
    """The held-out loss rises again while the training loss falls.

    Args:
        evidence: What was measured.
        rise: The held-out loss must end above its lowest point by this share of its fall to that point.
        share: Share of members that must show it.
    """
    if evidence.held_out_loss is None:
        return NotApplicable("the held-out loss was not recorded")
    held = evidence.held_out_loss
    known = np.isfinite(held).all(axis=1) & np.isfinite(evidence.loss).all(axis=1)
    if not known.any() or held.shape[1] < 5:
        return NotApplicable("too few complete curves to see a turning point")
    held, train = held[known], evidence.loss[known]
    # Medians of three epochs: one lucky epoch is no turning point.
    smooth = np.median(np.stack([held[:, :-2], held[:, 1:-1], held[:, 2:]]), axis=0)
    lowest, turn = smooth.min(axis=1), smooth.argmin(axis=1) + 2
    fall = np.maximum(held[:, 0] - lowest, 1e-12)
    risen = (smooth[:, -1] - lowest) / fall
    over = (risen > rise) & (train[:, -1] < train[np.arange(len(train)), turn - 1])
    rate = proportion_estimate(int(over.sum()), len(over))
    gap = None
    if evidence.fit_scores is not None:
        gap = float(
            np.nanmean(evidence.better_by(evidence.fit_scores, 0) - evidence.better_by(evidence.scores, 0))
        )
    numbers = {
        "rise as a share of the fall": float(np.median(risen)),
        "epoch of the lowest held-out loss": float(np.median(turn)),
        "epochs": float(held.shape[1]),
        "members": float(len(over)),
        "overfitting": float(over.sum()),
    }
    numbers |= {} if gap is None else {f"gap in {evidence.metric} between training and held-out rows": gap}
    sentence = (
        f"In {int(over.sum())} of {len(over)} trainings the held-out loss turned (median epoch {np.median(turn):.0f} "
        f"of {held.shape[1]}) and rose by more than {rise:.0%} of its fall while the training loss kept falling "
        f"(median rise {np.median(risen):.0%})."
    )
    if over.mean() > share:
        severity = float(np.clip(np.median(risen), 0, 1))
        return Found(sentence, severity, rate, numbers)
    return Clear(sentence, numbers)


GENERALIZATION = (Check("G01", "The network overfits", "generalization", "overfitting", overfits),)
