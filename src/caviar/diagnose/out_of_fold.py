"""What do predictions of held-out rows say that their score does not?"""

import numpy as np

from caviar.diagnose.contract import Check, Clear, Found, NotApplicable, Outcome
from caviar.diagnose.evidence import Evidence


def learns_duplicates(evidence: Evidence, *, share: float = 0.02, p: float = 0.01) -> Outcome:
    """Held-out rows that nearly repeat a training row have clearly lower losses than the others.

    Args:
        evidence: What is known.
        share: Of the rows that nearly repeat one, below which they matter little for the score.
        p: Of Mann and Whitney's one-sided test. Rows in dense parts of the table are easier anyway, so this is a
            reason to look at them, and no proof.
    """
    near = evidence.near
    if near is None:
        return NotApplicable("rows have no losses of their own under this score")
    if not near.rows:
        return NotApplicable("no training ended with finite predictions")
    numbers = {"share of near repetitions": near.share, "rows": float(near.rows), "p": near.p}
    sentence = f"{near.share:.1%} of the held-out rows nearly repeat a training row."
    if near.share > share and near.p < p:
        told = f"{sentence} Their median loss is {near.loss:.3g}, of the others {near.others:.3g} (p {near.p:.2g})."
        more = {"their median loss": near.loss, "that of the others": near.others}
        return Found(told, float(np.clip(near.share, 0, 1)), None, numbers | more)
    return Clear(sentence, numbers)


def badly_calibrated(evidence: Evidence, *, error: float = 0.04, temperature: float = 1.25) -> Outcome:
    """Probabilities are not how often classes turn up, beyond what so few rows show by chance.

    The expected calibration error of out-of-fold predictions must exceed what exact probabilities show in one of a
    hundred tables of this size, which bounds the false alarms at 1 %.

    Args:
        evidence: What is known.
        error: Smallest expected calibration error that counts: networks that Guo et al. (2017) found badly
            calibrated had 4 to 17 %, after scaling 0.5 to 2 %.
        temperature: By what logits must at least be divided, or multiplied, to fit best: a quarter off.
    """
    if evidence.calibration is None:
        return NotApplicable("the target is a quantity, rows have weights, or there are too few of them")
    found = evidence.calibration
    numbers = {
        "expected calibration error": found.error.value,
        "low": found.error.low,
        "high": found.error.high,
        "by chance": found.by_chance,
        "temperature": found.temperature,
        "log-loss it saves": found.gain,
    }
    how = "too sure" if found.temperature > 1 else "not sure enough"
    sentence = (
        f"Confidence and hits on held-out rows differ by {found.error.value:.1%} ({found.error.low:.1%} to "
        f"{found.error.high:.1%}; exact probabilities stay below {found.by_chance:.1%}); the best temperature is "
        f"{found.temperature:.2f}"
    )
    if found.error.value > max(error, found.by_chance) and abs(np.log(found.temperature)) > np.log(
        temperature
    ):
        told = f"{sentence}: the network is {how}."
        return Found(told, float(np.clip(found.error.value, 0, 1)), None, numbers)
    return Clear(f"{sentence}.", numbers)


OUT_OF_FOLD = (
    Check(
        "G05",
        "Near repetitions are learned",
        "generalization",
        "duplicates",
        learns_duplicates,
        why="The score is then better than on rows that repeat nothing; copies belong into one group.",
        by_hand="Keep copies together: name the column that says which rows belong to one thing (`--group`), "
        "or leave repetitions out.",
    ),
    Check(
        "G06",
        "Probabilities are badly calibrated",
        "generalization",
        "miscalibrated",
        badly_calibrated,
        why="Who decides by such probabilities decides wrongly, even where most classes are named rightly.",
    ),
)
