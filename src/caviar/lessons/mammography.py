"""Mammography: from a look at a table with few positives to a judged network and a prediction."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import keras
import numpy as np
from scipy.stats import skew
from sklearn.metrics import average_precision_score, log_loss
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PowerTransformer, StandardScaler

from caviar.errors import OptionError
from caviar.evaluate.claims import above, below, between, exactly
from caviar.teaching.contract import (
    Bars,
    Choice,
    Claim,
    Data,
    Drawing,
    Lesson,
    Lines,
    Reported,
    Shown,
    Split,
    Untold,
    Variant,
)
from caviar.teaching.own_rows import changed
from caviar.teaching.rows import folds, holdout, table
from caviar.teaching.seen import Lab, Seen, classes

LABELS = ("-1", "1")
FOLDS, FEWER = 10, 3
"""Folds, and the seeds that train on each: thirty would take 28 million gradient steps."""

DRAWN = 6
"""Columns that are drawn at most: the most skewed."""

STATISTICS = ("mean", "std", "min", "25%", "50%", "75%", "max")
DESCRIBED = {
    0: (1.096535e-10, 1.0, -0.7844148, -0.7844148, -0.1085769, 0.3139489, 31.50844),
    1: (1.297595e-09, 1.0, -0.4701953, -0.4701953, -0.3949941, -0.07649473, 5.085849),
    4: (-1.12068e-09, 1.0, -0.3778657, -0.3778657, -0.3778657, -0.3778657, 23.61712),
    5: (1.459483e-09, 1.0, -0.9457232, -0.9457232, -0.9457232, 1.016613, 1.949027),
}
"""What the source's summary says of four columns."""


def build(n_inputs: int = 6) -> keras.Model:
    """Six inputs, 50 units, one probability."""
    model = keras.Sequential(
        [
            keras.Input((n_inputs,)),
            keras.layers.Dense(50, activation="relu", kernel_initializer="he_normal"),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile("adam", loss="binary_crossentropy", metrics=["accuracy"])
    return model


RAW = Variant("raw", "columns as they are", build, batch_size=32, epochs=300)


def also(lab: Lab, seen: Seen) -> Mapping[str, Any]:
    """The power transform, ten folds with fewer seeds, the final model; and what the table itself says."""
    raw = replace(RAW, prepare=seen.trainings["raw"].variant.prepare)
    power = lab.train(replace(raw, prepare=power_of(lab.rows)))
    ten: list[Split] = folds(lab.rows.y, FOLDS, None)
    judged = lab.train(raw, data=replace(lab.rows, splits=ten), seeds=lab.seeds[:FEWER])
    on_all = [(np.arange(len(lab.rows.y)), np.arange(1))]
    final = lab.train(raw, data=replace(lab.rows, splits=on_all))
    values = {f"power {what}": power.per_member("raw", score) for what, score in SCORES.items()}
    values |= {f"folds {what}": judged.by_fold("raw", score) for what, score in SCORES.items()}
    values["first row"] = final.per_member("raw", lambda outputs, _: float(outputs[0, 0]))
    return values | looked_at(lab.rows, ten)


def power_of(data: Data) -> Callable[[], Any]:
    """A power transform; of other rows after their scale is taken away, as it has been taken from these."""
    return own_power if data.is_own else PowerTransformer


def own_power() -> Any:  # noqa: ANN401
    """Inputs of any scale, standardised and then transformed."""
    return make_pipeline(StandardScaler(), PowerTransformer())


def looked_at(data: Data, ten: list[Split]) -> dict[str, Any]:
    """What the table says without any training."""
    transformed = power_of(data)().fit_transform(data.x)
    twice = [repeats(data.x, split).mean() for split in ten]
    plain = [int(data.y[test].sum()) for _, test in KFold(FOLDS).split(data.x)]
    return {
        "skewness": skewness(data.x),
        "skewness, transformed": skewness(transformed),
        "at the minimum": (data.x == data.x.min(axis=0)).mean(axis=0),
        "repeated in folds": float(np.mean(twice)),
        "repeats": repeats(data.x, data.splits[0]),
        "fewest positives": min(plain) / np.mean(plain),
    }


def skewness(x: np.ndarray) -> np.ndarray:
    """Of each column (column,): 0 of one that is symmetric, or in which nothing varies.

    >>> skewness(np.array([[7, 0], [7, 0], [7, 3]])).round(3)
    array([0.   , 0.707])
    """
    found, varies = np.zeros(x.shape[1]), np.ptp(x, axis=0) > 0
    found[varies] = skew(x[:, varies].astype(float), axis=0)
    return found


def repeats(x: np.ndarray, split: Split) -> np.ndarray:
    """Whether a test row's inputs stand among the training rows, too (test row,)."""
    train, test = split
    known = {row.tobytes() for row in np.ascontiguousarray(x[train])}
    return np.array([row.tobytes() in known for row in np.ascontiguousarray(x[test])])


def accuracy(outputs: np.ndarray, y: np.ndarray) -> float:
    """Share of rows that are right beyond one half."""
    return float((classes(outputs) == y).mean())


def precision(outputs: np.ndarray, y: np.ndarray) -> float:
    """Average precision: the area under precision over recall; of guesses the share of positives."""
    return float(average_precision_score(y, outputs[:, 0]))


def cost(outputs: np.ndarray, y: np.ndarray) -> float:
    """Log loss, in nats."""
    return float(log_loss(y, np.clip(outputs[:, 0].astype(float), 1e-7, 1 - 1e-7), labels=[0, 1]))


def missed(outputs: np.ndarray, y: np.ndarray) -> float:
    """Share of positive rows that are called negative."""
    return float((classes(outputs)[y == 1] == 0).mean())


SCORES = {"accuracy": accuracy, "average precision": precision, "log loss": cost, "missed": missed}


def fold_accuracy(k: int) -> Callable[[Seen], np.ndarray]:
    """Accuracy of one fold (seed,)."""
    return lambda seen: np.asarray(seen["folds accuracy"][:, k])


def shown(score: Callable[[np.ndarray, np.ndarray], float]) -> Callable[[Seen, str], np.ndarray]:
    """A column of the table of variants."""
    return lambda seen, name: seen.per_member(name, score)


def unrepeated(seen: Seen) -> np.ndarray:
    """Accuracy of test rows whose inputs are not among the training rows (seed,); NaN if there are none."""
    new = ~seen["repeats"]
    if not new.any():
        return np.full(len(seen.seeds), np.nan)
    return seen.per_member("raw", lambda outputs, y: accuracy(outputs[new], y[new]))


def described(column: int, place: int) -> Callable[[Seen], float]:
    """One number of a column's summary."""

    def measure(seen: Seen) -> float:
        values = seen.rows.x[:, column].astype(float)
        return float(
            [values.mean(), values.std(ddof=1), *np.quantile(values, (0, 0.25, 0.5, 0.75, 1))][place]
        )

    return measure


def count(label: int, *, share: bool) -> Callable[[Seen], float]:
    """Rows of a class, or their percentage."""

    def measure(seen: Seen) -> float:
        of = seen.rows.y == label
        return 100 * float(of.mean()) if share else float(of.sum())

    return measure


def majority(seen: Seen) -> float:
    """Accuracy of always saying the more frequent class."""
    positive = float(seen.rows.y.mean())
    return max(positive, 1 - positive)


def beside_holdout(seen: Seen) -> np.ndarray:
    """Accuracy of ten folds minus that of the held-out rows, in standard errors of the latter (seed,)."""
    held, n = seen.accuracy("raw")[: len(seen["folds accuracy"])], len(seen.rows.splits[0][1])
    share = (held * n + 1) / (n + 2)  # as if two more rows were held out: an error of zero divides nothing
    return np.asarray((seen["folds accuracy"].mean(axis=1) - held) / np.sqrt(share * (1 - share) / n))


def on_other_rows(lesson: Lesson, data: Data) -> tuple[Lesson, Data]:
    """The lesson on another table: the rarer class counts as positive, and inputs are standardised."""
    fewest = np.bincount(data.y).min()
    if fewest < FOLDS:
        raise OptionError(
            f"Expected {FOLDS} rows or more of each class, one for each fold, got {fewest}. Add rows, or take another "
            f"lesson."
        )
    rows = replace(data, y=1 - data.y if data.y.mean() > 0.5 else data.y)
    n, rare = len(rows.y), float(rows.y.mean())
    costs = -(rare * np.log(rare) + (1 - rare) * np.log(1 - rare))
    alike = {"holds": below(round(costs / 11, 3))}
    elsewhere = replace(
        lesson,
        why=f"Of your {n:,} rows {int(rows.y.sum()):,} are of the rarer class, which counts as positive here: saying "
        f"“no” to all is right in {100 * (1 - rare):.1f} %. The table is looked at, the network trained on half of "
        "the rows, judged by ten folds and then trained on all rows. Beside accuracy stand average precision and log "
        "loss, and how many positives are missed. Rows that repeat another one are shared by folds. Inputs are "
        "standardised, and a power transform is tried, both fitted on training rows only. Three seeds train on each "
        "fold, all of them on the rest.",
        variants=[replace(RAW, title="columns standardised", prepare=StandardScaler)],
        claims=changed(
            lesson.claims,
            {
                "An accuracy of 97.675 % or less has no skill.": {
                    "says": f"An accuracy of {100 * (1 - rare):.3f} % or less has no skill.",
                    "holds": exactly(round(1 - rare, 5)),
                },
                "The network beats the answer without skill.": {
                    "holds": above(round(1 - rare, 5)),
                    "about": f"accuracy of the held-out half; {1 - rare:.3f} without skill",
                },
                "It does not overfit: the held-out loss ends where it was lowest.": alike
                | {"about": f"held-out log loss at the end minus its lowest; no skill costs {costs:.2f}"},
                "Training and held-out loss are alike.": alike
                | {"about": f"held-out minus training log loss at the end; no skill costs {costs:.2f}"},
                "Cross-validation agrees with the single holdout.": {
                    "measure": beside_holdout,
                    "holds": between(-2, 2),
                    "about": "accuracy, mean of ten folds minus held-out half, in standard errors of the latter",
                },
                "The first row is labelled -1.": {
                    "says": "Final models give the first row, which they were trained on, its label.",
                    "measure": lambda seen: np.abs(1 - rows.y[0] - seen["first row"]),
                    "holds": above(0.5),
                    "about": "probability that they give for it",
                    "amended": "",
                },
                "Plain folds in the table's order would be unbalanced.": {"amended": ""},
                "Average precision shows the skill that two decimals of accuracy do not.": {
                    "says": "Average precision shows that positives are found.",
                    "about": f"share of the way from guessing ({rare:.3f}) to 1",
                },
            },
        ),
    )
    return elsewhere, replace(rows, title=f"{data.title}, {int(rows.y.sum()):,} of them positive")


def figures(seen: Seen) -> list[Drawing]:
    """The columns, and what accuracy does not show."""
    loss = {"training rows": seen.log("raw", "loss"), "held-out rows": seen.log("raw", "val_loss")}
    return [
        *(
            Bars(f"Column {k + 1}", {"all rows": np.sort(seen.rows.x[:, k])}, "value as in the table")
            for k in sorted(np.argsort(-np.abs(seen["skewness"]))[:DRAWN])
        ),
        Lines("Log loss", np.arange(1, loss["training rows"].shape[1] + 1), loss, "epoch", "log loss"),
        Bars(
            "Folds: accuracy says little, missed positives much",
            {what: seen[f"folds {what}"].ravel() for what in ("accuracy", "missed")},
            "share",
        ),
    ]


LESSON = Lesson(
    name="mammography",
    title="Few positives: from a look at the table to a prediction",
    area="evaluation",
    covers=("mam-summary", "mam-power-transform", "mam-holdout", "mam-cv10", "mam-final-predict"),
    why="Of 11,183 spots in mammograms 260 are microcalcifications, so that saying “no” to all is right in 97.7 %. The "
    "table is looked at, the network trained on half of the rows (the source's code; its text says two thirds), judged "
    "by ten folds and then trained on all rows; the dropout that the source's text mentions is not in its code. "
    "Beside accuracy stand average precision and log loss, and how many positives are missed. A third of the rows "
    "repeat another one, so that folds share rows. The power transform, which the source suggests and does not try, is "
    "fitted on training rows only. Thirty seeds train on the half, with and without the power transform, and on all "
    "rows; three train on each fold, because thirty would take 28 million gradient steps.",
    data=table("mammography", lambda y: holdout(y, 0.5, 1, stratify=True)),
    variants=(RAW,),
    also=also,
    claims=(
        Claim(
            "An accuracy of 97.675 % or less has no skill.",
            ["mam-summary/0"],
            lambda seen: round(majority(seen), 5),
            exactly(0.97675),
            "accuracy of always naming the majority",
        ),
        Claim(
            "Most columns look exponential, and the last one rather Gaussian.",
            ["mam-summary/1"],
            lambda seen: bool((seen["skewness"][:-1] > 1).sum() >= 3 and abs(seen["skewness"][-1]) < 1),
            above(0.5),
            "whether at least three of the first five columns have a skewness above 1 (exponential: 2), and the last "
            "below 1 (Gaussian: 0)",
            only_here="it speaks of that table's columns",
        ),
        Claim(
            "The last column is not Gaussian: most of its rows hold one and the same value.",
            [],
            lambda seen: float(seen["at the minimum"][-1]),
            above(0.5),
            "share of rows at the last column's lowest value",
            who="caviar",
            only_here="it speaks of that table's columns",
        ),
        Claim(
            "A power transform makes columns less skewed.",
            ["mam-summary/2"],
            lambda seen: float(
                np.abs(seen["skewness"]).mean() - np.abs(seen["skewness, transformed"]).mean()
            ),
            above(0),
            "mean absolute skewness of the columns, before minus after",
        ),
        Claim(
            "A power transform helps the network.",
            ["mam-summary/2", "mam-power-transform/0"],
            lambda seen: (
                seen["power average precision"]
                - seen.per_member("raw", precision)[: len(seen["power missed"])]
            ),
            above(0),
            "average precision, with minus without",
        ),
        Claim(
            "The network beats the answer without skill.",
            ["mam-holdout/0"],
            lambda seen: seen.accuracy("raw"),
            above(0.977),
            "accuracy of the held-out half; about 0.988 is reported",
        ),
        Claim(
            "It fits quickly.",
            ["mam-holdout/1"],
            lambda seen: seen.epochs_to(
                "raw", "val_loss", 1.1 * float(np.mean(seen.best("raw", "val_loss")))
            ),
            below(60),
            "epochs until the held-out loss first is within a tenth of its mean lowest value; a fifth of all epochs",
        ),
        Claim(
            "It does not overfit: the held-out loss ends where it was lowest.",
            ["mam-holdout/1"],
            lambda seen: seen.final("raw", "val_loss") - seen.best("raw", "val_loss"),
            below(0.01),
            "held-out log loss at the end minus its lowest; no skill costs 0.11",
        ),
        Claim(
            "Training and held-out loss are alike.",
            ["mam-holdout/1"],
            lambda seen: seen.final("raw", "val_loss") - seen.final("raw", "loss"),
            below(0.01),
            "held-out minus training log loss at the end; no skill costs 0.11",
        ),
        Claim(
            "Cross-validation agrees with the single holdout.",
            ["mam-cv10/0"],
            lambda seen: (
                seen["folds accuracy"].mean(axis=1) - seen.accuracy("raw")[: len(seen["folds accuracy"])]
            ),
            between(-0.003, 0.003),
            "accuracy, mean of ten folds minus held-out half",
        ),
        Claim(
            "The first row is labelled -1.",
            ["mam-final-predict/0"],
            lambda seen: seen["first row"],
            below(0.5),
            "probability that final models give for the label 1; the label's quotes in the file are taken off here",
            amended="A probability instead of the share of three models, which could not tell even if all agreed.",
        ),
        Claim(
            "Accuracy hides that more than one positive in four is missed.",
            [],
            lambda seen: seen.per_member("raw", missed),
            above(0.25),
            "share of the held-out half's positive rows that are called negative",
            who="caviar",
        ),
        Claim(
            "Average precision shows the skill that two decimals of accuracy do not.",
            [],
            lambda seen: (seen.per_member("raw", precision) - (1 - majority(seen))) / majority(seen),
            above(0.3),
            "share of the way from guessing (0.023) to 1; accuracy moves by 0.01",
            who="caviar",
        ),
        Claim(
            "More than one held-out row in five stands among its fold's training rows.",
            [],
            lambda seen: seen["repeated in folds"],
            above(0.2),
            "share of held-out rows whose inputs a training row repeats, mean of ten folds",
            who="caviar",
        ),
        Claim(
            "Repeated rows flatter the accuracy.",
            [],
            lambda seen: seen.accuracy("raw") - unrepeated(seen),
            above(0),
            "accuracy of all held-out rows minus that of rows that no training row repeats",
            who="caviar",
        ),
        Claim(
            "Plain folds in the table's order would be unbalanced.",
            [],
            lambda seen: seen["fewest positives"],
            below(0.5),
            "positives in the fold with fewest, as a share of the mean, of scikit-learn's KFold(10); 1 is balanced",
            who="caviar",
            amended="Its reason is left out: the first thousand rows do hold no positive, yet each fold has 26.",
        ),
    ),
    reported=(
        *(
            Reported("mam-summary", "", f"rows labelled {LABELS[k]}", value, count(k, share=False), digits=0)
            for k, value in enumerate((10923, 260))
        ),
        *(
            Reported("mam-summary", "", f"percent labelled {LABELS[k]}", value, count(k, share=True))
            for k, value in enumerate((97.675, 2.325))
        ),
        Reported("mam-summary", "", "rows", 11183, lambda seen: float(len(seen.rows.y)), digits=0),
        Reported(
            "mam-summary",
            "",
            "columns with the label",
            7,
            lambda seen: float(seen.rows.x.shape[1] + 1),
            digits=0,
        ),
        *(
            Reported(
                "mam-summary",
                "",
                f"{STATISTICS[k]} of column {column}",
                value,
                described(column, k),
                digits=5,
            )
            for column, values in DESCRIBED.items()
            for k, value in enumerate(values)
        ),
        Reported("mam-holdout", "raw", "test accuracy", 0.988, lambda seen: seen.accuracy("raw")),
        Reported("mam-holdout", "", "accuracy without skill", 0.977, majority),
        Reported(
            "mam-cv10",
            "",
            "accuracy, mean of ten folds",
            0.987,
            lambda seen: seen["folds accuracy"].mean(axis=1),
        ),
        Reported(
            "mam-cv10",
            "",
            "standard deviation over ten folds",
            0.002,
            lambda seen: seen["folds accuracy"].std(axis=1),
        ),
        *(
            Reported(
                "mam-cv10",
                "",
                f"accuracy of fold {k + 1}",
                value,
                fold_accuracy(k),
            )
            for k, value in enumerate((0.987, 0.986, 0.989, 0.987, 0.986, 0.988, 0.989, 0.989, 0.983, 0.988))
        ),
    ),
    untold=(
        Untold(
            "mam-cv10/1",
            "that curves are looked at before folds are trained is an order of work, which the lesson keeps.",
        ),
    ),
    questions=(
        Choice(
            "A network is right in 98.8 % of 11,183 rows, of which 2.3 % are positive. How much skill is that?",
            (
                "Nearly perfect skill.",
                "One point more than no skill; accuracy alone does not tell.",
                "None at all.",
            ),
            (1,),
            "Naming the majority is right in 97.7 %; which positives are found, accuracy hardly says.",
        ),
        Choice(
            "On which rows may a power transform be fitted?",
            ("On all rows.", "On the training rows of each split.", "On the held-out rows."),
            (1,),
            "What is fitted on held-out rows knows something of them.",
        ),
    ),
    shows=(*(Shown(what, shown(score)) for what, score in SCORES.items()),),
    curves=("loss", "accuracy"),
    figures=figures,
    learned="Where positives are few, compare with the answer without skill, and judge by a score that looks at them: "
    "average precision, log loss, the share missed. Count the positives of each fold: this table's plain folds are "
    "balanced as they stand. Fit transforms within splits, and know how many rows are repeated across them.",
    own_rows=on_other_rows,
)
