"""Are the data such that a network can learn from them?"""

import numpy as np

from caviar.diagnose.contract import Check, Clear, Found, NotApplicable, Outcome
from caviar.diagnose.evidence import Evidence

_NO_DATA = NotApplicable("the data were not looked at")


def not_finite(evidence: Evidence) -> Outcome:
    """Some numbers are missing or infinite; to see what else there is, inputs are filled with medians."""
    if evidence.data is None:
        return _NO_DATA
    count = evidence.data.not_finite
    if count:
        sentence = (
            f"{count:,} numbers among inputs and targets are NaN or infinite; one of them spoils every weight. For "
            f"all that follows, inputs were filled with their column's median."
        )
        return Found(sentence, 1.0, None, {"not finite": float(count)})
    return Clear("All numbers are finite.", {})


def unscaled_inputs(evidence: Evidence, *, largest: float = 10.0, uneven: float = 100.0) -> Outcome:
    """Inputs are far from zero mean and unit spread, or from each other.

    Args:
        evidence: What is known.
        largest: Root mean square of an input from which on it counts as large: first weights are made for 1.
        uneven: Largest ratio between the inputs' sizes that is left to the optimizer. (LeCun et al., 1998)
    """
    if evidence.data is None:
        return _NO_DATA
    sizes = np.hypot(evidence.data.centre, evidence.data.deviation)
    sizes = sizes[np.isfinite(sizes) & (sizes > 0)]
    if not len(sizes):
        return NotApplicable("no input varies")
    numbers = {"largest root mean square": float(sizes.max()), "smallest": float(sizes.min())}
    if sizes.max() > largest or sizes.max() > uneven * sizes.min() or sizes.max() < 1 / uneven:
        return Found(
            f"Inputs have sizes from {sizes.min():.3g} to {sizes.max():.3g} (root mean square); networks begin as if "
            f"each were about 1.",
            0.6,
            None,
            numbers,
        )
    return Clear(
        f"Inputs have sizes from {sizes.min():.3g} to {sizes.max():.3g} (root mean square).", numbers
    )


def unscaled_target(evidence: Evidence, *, largest: float = 10.0, smallest: float = 0.01) -> Outcome:
    """A regression's target is far from zero mean and unit spread.

    Args:
        evidence: What is known.
        largest: Mean or standard deviation from which on a target counts as large: last layers begin with outputs
            of about 1, and the gradient of a squared error grows with the distance.
        smallest: Standard deviation below which it counts as small.
    """
    if evidence.data is None:
        return _NO_DATA
    if evidence.data.n_classes:
        return NotApplicable("the target is a class")
    centre, deviation = evidence.data.target_centre, evidence.data.target_deviation
    numbers = {"mean": centre, "standard deviation": deviation}
    sentence = f"The target has mean {centre:.3g} and standard deviation {deviation:.3g}"
    if abs(centre) > largest or deviation > largest or 0 < deviation < smallest:
        return Found(f"{sentence}; networks begin as if they were about 0 and 1.", 0.6, None, numbers)
    return Clear(f"{sentence}.", numbers)


def outliers(evidence: Evidence, *, far: float = 30.0) -> Outcome:
    """Single inputs lie extremely far out.

    Args:
        evidence: What is known.
        far: Distance from the median in interquartile ranges; one of a normal variable's million values lies 3.6 out.
    """
    if evidence.data is None:
        return _NO_DATA
    furthest = float(np.nanmax(evidence.data.extreme, initial=0.0))
    sentence = f"The furthest input lies {furthest:.3g} interquartile ranges from its median"
    if furthest > far:
        return Found(f"{sentence}; it rules the sums that it enters.", 0.4, None, {"furthest": furthest})
    return Clear(f"{sentence}.", {"furthest": furthest})


def imbalance(evidence: Evidence, *, share: float = 0.1) -> Outcome:
    """A class is rare.

    Args:
        evidence: What is known.
        share: Of the rows, divided by the even share times two: for two classes, rarer than this.
    """
    if evidence.data is None:
        return _NO_DATA
    if not evidence.data.n_classes:
        return NotApplicable("the target is a quantity")
    rarest = min(evidence.data.class_shares)
    limit = 2 * share / evidence.data.n_classes
    if rarest < limit:
        return Found(f"The rarest class has {rarest:.1%} of the rows.", 0.3, None, {"rarest": rarest})
    return Clear(f"The rarest class has {rarest:.1%} of the rows.", {"rarest": rarest})


def contradictions(evidence: Evidence, *, share: float = 0.05) -> Outcome:
    """Equal inputs have different classes.

    Args:
        evidence: What is known.
        share: Of the rows that may contradict another one.
    """
    if evidence.data is None:
        return _NO_DATA
    if not evidence.data.n_classes:
        return NotApplicable("the target is a quantity")
    found = evidence.data.contradictory
    sentence = f"{found:.1%} of the rows have the same inputs as a row of another class."
    if found > share:
        return Found(sentence, 0.3, None, {"share": found})
    return Clear(sentence, {"share": found})


def few_rows(evidence: Evidence, *, parameters: float = 10.0, rows: int = 200) -> Outcome:
    """There are few rows for so large a network.

    Args:
        evidence: What is known.
        parameters: Per row; networks with more than one per row are usual, far more overfit small tables easily.
        rows: Tables of more rows are not small.
    """
    if evidence.model is None:
        return _NO_DATA
    ratio = evidence.model.parameters / max(1, evidence.model.rows)
    sentence = (
        f"The network has {evidence.model.parameters:,} parameters for {evidence.model.rows:,} training rows."
    )
    if ratio > parameters and evidence.model.rows < rows:
        return Found(sentence, 0.2, None, {"parameters per row": ratio})
    return Clear(sentence, {"parameters per row": ratio})


def shifted(evidence: Evidence, *, area: float = 0.7) -> Outcome:
    """Validation rows come from another source than training rows.

    Args:
        evidence: What is known.
        area: Trees must surely tell them apart this well (area under the ROC curve; 0.5 is not at all, and 0.7 is
            commonly called acceptable discrimination: Hosmer & Lemeshow, 2000).
    """
    if evidence.data is None or evidence.data.shift is None:
        return NotApplicable("no validation rows were given")
    shift = evidence.data.shift
    numbers = {
        "area under the ROC curve": shift.value,
        "validation rows": float(evidence.data.validation_rows),
    }
    sentence = (
        f"Boosted trees tell validation rows from training rows with an AUC of {shift.value:.2f} "
        f"({shift.low:.2f} to {shift.high:.2f}; 0.5 if they cannot)."
    )
    if shift.low > area:
        return Found(sentence, 0.4, None, numbers)
    return Clear(sentence, numbers)


def few_validation_rows(evidence: Evidence, *, fewest: int = 100) -> Outcome:
    """There are too few validation rows to tell models apart.

    Args:
        evidence: What is known.
        fewest: An accuracy of 90 % on 100 rows has a 95 % interval of 82 % to 94 % (Wilson).
    """
    if evidence.data is None or not evidence.data.validation_rows:
        return NotApplicable("no validation rows were given")
    rows = evidence.data.validation_rows
    sentence = f"There are {rows:,} validation rows."
    if rows < fewest:
        return Found(f"{sentence} Scores on so few say little.", 0.2, None, {"validation rows": float(rows)})
    return Clear(sentence, {"validation rows": float(rows)})


def heavy_tails(evidence: Evidence, *, share: float = 0.05) -> Outcome:
    """Many values of an input lie far out, not only single ones.

    Args:
        evidence: What is known.
        share: Of an input's values more than 3 interquartile ranges outside its quartiles (Tukey's outer fences):
            of a normal variable 2 in a million, of an exponential one 1 %, of a log-normal one (1) 3 %, of a Cauchy
            variable 9 %.
    """
    if evidence.data is None:
        return _NO_DATA
    tails = evidence.data.tails
    most = float(tails.max(initial=0.0))
    numbers = {"largest share": most, "inputs": float((tails > share).sum())}
    if most > share:
        return Found(
            f"In {int((tails > share).sum())} inputs more than {share:.0%} of the values lie over 3 interquartile "
            f"ranges outside the quartiles (at most {most:.1%}).",
            0.2,
            None,
            numbers,
        )
    return Clear(f"At most {most:.1%} of an input's values lie far out.", numbers)


def identifiers(evidence: Evidence) -> Outcome:
    """An input counts the rows: whole numbers, different in every row, that only rise or only fall."""
    if evidence.data is None:
        return _NO_DATA
    names = evidence.data.identifiers
    if names:
        told = f"Whole numbers, different in every row, that count or name the rows: {', '.join(names[:5])}."
        return Found(told, 0.1, None, {"inputs": float(len(names))})
    return Clear("No input looks like an identifier.", {})


def leaks(evidence: Evidence) -> Outcome:
    """A single input nearly gives the target away: area under the ROC curve, or rank correlation, of 0.995 or more.

    (Kaufman, Rosset and Perlich, Leakage in data mining, 2012: suspect what predicts too well)
    """
    if evidence.data is None:
        return _NO_DATA
    found = evidence.data.leaking
    if found:
        name, strength = max(found, key=lambda one: one[1])
        return Found(
            f"{name} alone predicts the target almost perfectly ({strength:.3f}): it may be a copy or a consequence of "
            f"it, which new rows do not have.",
            0.3,
            None,
            {"strength": strength, "inputs": float(len(found))},
        )
    return Clear("No single input gives the target away.", {})


DATA = (
    Check(
        "D01",
        "Numbers are missing or infinite",
        "learning",
        "nan_loss",
        not_finite,
        why="One missing number makes every weight it meets a missing number.",
        evident=True,
    ),
    Check(
        "D02",
        "The inputs are not scaled",
        "learning",
        "unscaled_input",
        unscaled_inputs,
        why="Sums are ruled by the largest input, and one rate cannot suit all weights.",
    ),
    Check(
        "D03",
        "The target is not scaled",
        "learning",
        "unscaled_target",
        unscaled_target,
        why="The first steps are then spent on finding the target's mean and size, or explode.",
    ),
    Check(
        "D04",
        "The inputs have extreme outliers",
        "learning",
        "unscaled_input",
        outliers,
        why="A single row can then undo what all others have taught.",
    ),
    Check(
        "D05",
        "A class is rare",
        "learning",
        "class_imbalance",
        imbalance,
        why="The network can ignore the class at little cost.",
    ),
    Check(
        "D06",
        "Labels contradict each other",
        "generalization",
        "corrupted_labels",
        contradictions,
        why="No network can be right about both.",
    ),
    Check(
        "D07",
        "There are few rows for the network",
        "generalization",
        "train_set_too_small",
        few_rows,
        why="The network can then learn every row by heart.",
    ),
    Check(
        "D08",
        "Validation rows are of another kind",
        "generalization",
        "train_val_shift",
        shifted,
        why="What is chosen on such rows is chosen for another purpose.",
        by_hand="Take validation rows at random from the same table as the training rows; or, if they are "
        "what the model is for, train on rows like them.",
    ),
    Check(
        "D09",
        "There are few validation rows",
        "generalization",
        "validation_too_small",
        few_validation_rows,
        why="Differences on so few rows are mostly chance.",
        by_hand="Hold back more rows, or judge by cross-validation, where every row is held out once.",
    ),
    Check(
        "D10",
        "The inputs have heavy tails",
        "learning",
        "unscaled_input",
        heavy_tails,
        why="Standardising squeezes the usual range into little then; bending outliers, or a logarithm, keeps it.",
    ),
    Check(
        "D11",
        "An input is an identifier",
        "generalization",
        "identifier",
        identifiers,
        why="It says nothing about a new row, but a network can learn the order of the file from it.",
        by_hand="Leave the column out (`--drop`), unless its order means something that new rows will have "
        "too, such as time.",
    ),
    Check(
        "D12",
        "An input gives the target away",
        "generalization",
        "leak",
        leaks,
        why="What is known only together with the target is not known when it is to be predicted.",
        by_hand="Ask whether the column is known when the target is to be predicted. If it is not, leave it "
        "out (`--drop`); the score will fall to what it is worth.",
    ),
)
