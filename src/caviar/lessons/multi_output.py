"""Multi-output regression: can one network predict several quantities, and has it learned them to the end?"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from sklearn.datasets import make_regression
from sklearn.model_selection import RepeatedKFold
from sklearn.preprocessing import StandardScaler

from caviar.evaluate.claims import above, below, between, exactly
from caviar.teaching.contract import (
    Choice,
    Claim,
    Data,
    Drawing,
    Lesson,
    Lines,
    Reported,
    Shown,
    Split,
    Variant,
)
from caviar.teaching.own_rows import changed
from caviar.teaching.seen import Lab, Seen

DRAWN = {"n_samples": 1000, "n_features": 10, "n_informative": 5, "n_targets": 3, "random_state": 2}
FOLDS, REPEATS = 10, 3
LONG = 1000
ROW = (
    *(-0.99859353, 2.19284309, -0.42632569, -0.21043258, -1.13655612),
    *(-0.55671602, -0.63169045, -0.87625098, -0.99445578, -0.3677487),
)
PREDICTED = (-152.22713, -78.04891, -91.97194)
"""What the source's final model says of `ROW`."""


def rows(_: Path | None) -> Data:
    """Three targets that are exact linear functions of five of ten inputs; ten folds, three times."""
    x, y = make_regression(**DRAWN)
    return Data(
        "1,000 rows of ten inputs and three quantities",
        x.astype(np.float32),
        y.astype(np.float32),
        repeated_folds(x),
        classes=0,
        origin="scikit-learn's make_regression(n_informative=5, n_targets=3, random_state=2)",
    )


def repeated_folds(x: np.ndarray) -> list[Split]:
    """Ten folds, three times."""
    return list(RepeatedKFold(n_splits=FOLDS, n_repeats=REPEATS, random_state=1).split(x))


def build(n_inputs: int = 10, n_outputs: int = 3, last: str = "glorot_uniform") -> keras.Model:
    """Twenty units and a linear output for each target."""
    model = keras.Sequential(
        [
            keras.Input((n_inputs,)),
            keras.layers.Dense(20, activation="relu", kernel_initializer="he_uniform"),
            keras.layers.Dense(n_outputs, kernel_initializer=last),
        ]
    )
    model.compile("adam", loss="mae")
    return model


def build_final(n_inputs: int = 10, n_outputs: int = 3) -> keras.Model:
    """The same, but with the source's other first weights of the outputs."""
    return build(n_inputs, n_outputs, last="he_uniform")


SOURCE = Variant("source", "20 hidden units, 3 linear outputs", build, batch_size=32, epochs=100)
FINAL = replace(SOURCE, name="final", title="final model, outputs he_uniform", build=build_final)


def also(lab: Lab, seen: Seen) -> Mapping[str, Any]:
    """Ten times the epochs on one fold, the final model and its prediction, and the drawing itself."""
    source = replace(SOURCE, prepare=seen.trainings["source"].variant.prepare)
    longer = lab.train(replace(source, epochs=LONG), data=replace(lab.rows, splits=lab.rows.splits[:1]))
    everything = np.arange(len(lab.rows.y))
    final = lab.train(
        replace(FINAL, prepare=source.prepare),
        source,
        data=replace(lab.rows, splits=[(everything, everything)]),
    )
    values = {
        "long error": longer.error("source"),
        "long curve": longer.log("source", "val_loss"),
        "final error": final.error("final"),
        "final error, default weights": final.error("source"),
    }
    if lab.rows.is_own:
        first = [outputs[0][0] for outputs in final.trainings["final"].outputs["test"]]
        return values | {"prediction": np.array(first)}
    row = np.array([ROW], np.float32)
    predictions = [final.model("final", seed).predict(row, verbose=0)[0] for seed in range(len(lab.seeds))]
    x, y, coefficients = make_regression(**DRAWN, coef=True)
    fitted = x @ np.linalg.lstsq(x, y, rcond=None)[0]
    return values | {
        "prediction": np.array(predictions),
        "truth": y[np.abs(x - np.array(ROW)).max(axis=1).argmin()],
        "unused inputs": float((coefficients == 0).all(axis=1).sum()),
        "largest residual": float(np.abs(fitted - y).max()),
        "shape": (*x.shape, *y.shape),
    }


def on_other_rows(lesson: Lesson, data: Data) -> tuple[Lesson, Data]:
    """The lesson on a table with several targets, each in its own standard deviations; inputs are standardised."""
    targets = data.y.shape[1]
    elsewhere = replace(
        lesson,
        why=f"A network has as many outputs as there are quantities to predict, {targets} of yours. It is judged by "
        "ten folds, three times, and then trained on all rows for a prediction; one fold is trained ten times as "
        "long, to see whether the error is what the rows allow or where training stopped. Every target is counted in "
        "its own standard deviations, so that none drowns the others in a mean error; inputs are standardised. The "
        "source gave its final model other first weights than the one that it judged; both are trained.",
        variants=[
            replace(SOURCE, title=f"20 hidden units, {targets} linear outputs", prepare=StandardScaler),
        ],
        claims=(
            Claim(
                "One network with a linear output for each target predicts them better than their means do.",
                ["mor-mlp-cv/0"],
                lambda seen: seen.error("source") / of_means(seen.rows),
                below(1),
                "mean absolute error of held-out rows, mean of 30 folds, as a share of what the targets' means make",
                who="caviar",
            ),
            *changed(
                lesson.claims,
                {
                    "A prediction has three values.": {
                        "says": f"A prediction has {targets} values.",
                        "holds": exactly(targets),
                    },
                    "An error of 8 was not yet converged: ten times the epochs more than halve it.": {
                        "says": "The error was not yet converged: ten times the epochs more than halve it."
                    },
                    "The final model's other first weights make no difference that counts.": {
                        "measure": lambda seen: (
                            (seen["final error"] - seen["final error, default weights"]) / spread_of_one(seen)
                        ),
                        "about": "error of all rows, he_uniform minus the default, as a multiple of the deviation "
                        "between folds",
                    },
                },
            ),
        ),
        questions=(
            Choice(
                f"How many output units does a network need for {targets} quantities?",
                ("One.", f"{targets}, each linear.", f"{targets}, with a softmax."),
                (1,),
                "A softmax would force them to sum to 1.",
            ),
        ),
    )
    rows = replace(
        data,
        title=f"{data.title} with {targets} quantities to predict",
        y=StandardScaler().fit_transform(data.y),
        splits=repeated_folds(data.x),
    )
    return elsewhere, rows


def of_means(data: Data) -> float:
    """Mean absolute error of held-out rows if the training rows' means are predicted, mean of all folds."""
    errors = [np.abs(data.y[test] - data.y[train].mean(axis=0)).mean() for train, test in data.splits]
    return float(np.mean(errors))


def fold_errors(seen: Seen) -> np.ndarray:
    """Mean absolute error of each of the thirty folds (seed, fold)."""
    return seen.by_fold("source", lambda outputs, y: float(np.abs(outputs - y).mean()))


def spread_of_one(seen: Seen) -> np.ndarray:
    """Standard deviation of an estimate from one fold (seed,)."""
    return fold_errors(seen).std(axis=1, ddof=1)


def spread_of_all(seen: Seen) -> np.ndarray:
    """Standard deviation of an estimate from all ten folds, over the repeats (seed,)."""
    means = fold_errors(seen).reshape(len(seen.seeds), REPEATS, FOLDS).mean(axis=2)
    return np.asarray(means.std(axis=1, ddof=1))


def near(seen: Seen) -> np.ndarray:
    """Whether a prediction has the reported one's signs and lies within the reported error of it (seed,)."""
    off = np.abs(seen["prediction"] - PREDICTED).mean(axis=1)
    same = (np.sign(seen["prediction"]) == np.sign(PREDICTED)).all(axis=1)
    return np.asarray(same & (off < 8.184))


def reported(of: str, what: str, value: float, measure: Callable[[Seen], Any], digits: int = 3) -> Reported:
    """What the source printed."""
    return Reported(of, "source" if of == "mor-mlp-cv" else "", what, value, measure, digits=digits)


def fold_error(k: int) -> Callable[[Seen], np.ndarray]:
    """The error of one fold (seed,)."""
    return lambda seen: fold_errors(seen)[:, k]


def output(k: int) -> Callable[[Seen], np.ndarray]:
    """One value of the prediction (seed,)."""
    return lambda seen: np.asarray(seen["prediction"][:, k])


def figures(seen: Seen) -> list[Drawing]:
    """How far the error still falls after the source's hundred epochs."""
    curve = seen["long curve"]
    return [
        Lines(
            "Mean absolute error of one fold's held-out rows over ten times the epochs",
            np.arange(1, curve.shape[1] + 1),
            {"first fold": curve},
            "epoch",
            "mean absolute error",
            log_x=True,
            log_y=True,
        )
    ]


LESSON = Lesson(
    name="multi-output",
    title="Several quantities from one network",
    area="evaluation",
    covers=("mor-data-summary", "mor-mlp-cv", "mor-final-predict"),
    why="A network has as many outputs as there are quantities to predict. Three are drawn as linear functions of five "
    "inputs; the five others have no part in them (the source calls them redundant, but their coefficients are 0). "
    "The network is judged by ten folds, three times, and then trained on all rows for a prediction. There is no "
    "noise in the targets, so an error of 8 is not what the rows allow but where training stopped: one fold is "
    "trained ten times as long to see it. The source's final model has other first weights than the one that it "
    "judged; both are trained.",
    data=rows,
    variants=(SOURCE,),
    also=also,
    claims=(
        Claim(
            "A network with as many linear outputs as targets does multi-output regression directly.",
            ["mor-mlp-cv/0"],
            lambda seen: seen.error("source"),
            between(7.2, 9.2),
            "mean absolute error of held-out rows, mean of 30 folds; 8.2 ± 1.0 is reported",
            only_here="8.2 is the error of targets that were drawn",
        ),
        Claim(
            "Repeated folds give a steadier estimate than one split.",
            ["mor-mlp-cv/1"],
            lambda seen: spread_of_one(seen) - spread_of_all(seen),
            above(0),
            "standard deviation of the estimate: from one fold, minus from ten (over three repeats)",
        ),
        Claim(
            "A prediction has three values.",
            ["mor-final-predict/0"],
            lambda seen: float(seen["prediction"].shape[1]),
            exactly(3),
            "values that the final model gives for one row",
        ),
        Claim(
            "The prediction is near the reported one.",
            ["mor-final-predict/1"],
            near,
            above(0.5),
            "share of seeds with the reported signs, within 8.184 (the reported error) of it on average",
            only_here="only these rows have a prediction that was reported",
        ),
        Claim(
            "The targets are exact linear functions of the inputs.",
            [],
            lambda seen: seen["largest residual"],
            below(1e-6),
            "largest residual of least squares, in the target's unit",
            who="caviar",
            only_here="its targets were drawn so",
        ),
        Claim(
            "Five inputs have no part in any target: they are uninformative, not redundant.",
            [],
            lambda seen: seen["unused inputs"],
            exactly(5),
            "inputs whose coefficients are 0",
            who="caviar",
            only_here="its targets were drawn so",
        ),
        Claim(
            "After 100 epochs the loss still falls.",
            [],
            lambda seen: seen.slope("source", "loss", last=20),
            below(0),
            "slope of the training loss over the last 20 epochs, per epoch",
            who="caviar",
        ),
        Claim(
            "An error of 8 was not yet converged: ten times the epochs more than halve it.",
            [],
            lambda seen: seen["long error"] / fold_errors(seen)[:, 0],
            below(0.5),
            "error of the first fold after 1,000 epochs as a share of that after 100",
            who="caviar",
        ),
        Claim(
            "The final model's other first weights make no difference that counts.",
            [],
            lambda seen: seen["final error"] - seen["final error, default weights"],
            between(-1.0, 1.0),
            "error of all rows, he_uniform minus the default; folds differ by 1.0 among each other",
            who="caviar",
        ),
        Claim(
            "The prediction is as far from the truth as the model's error says.",
            [],
            lambda seen: np.abs(seen["prediction"] - seen["truth"]).mean(axis=1) / seen["final error"],
            between(1 / 3, 3),
            "error of this row's prediction as a multiple of that of all rows; a single row may well differ threefold",
            who="caviar",
            only_here="the row that is predicted was drawn with them",
        ),
    ),
    reported=(
        reported("mor-data-summary", "rows of inputs", 1000, lambda seen: float(seen["shape"][0]), 0),
        reported("mor-data-summary", "columns of inputs", 10, lambda seen: float(seen["shape"][1]), 0),
        reported("mor-data-summary", "rows of targets", 1000, lambda seen: float(seen["shape"][2]), 0),
        reported("mor-data-summary", "columns of targets", 3, lambda seen: float(seen["shape"][3]), 0),
        reported("mor-mlp-cv", "mean absolute error", 8.184, lambda seen: seen.error("source")),
        reported(
            "mor-mlp-cv", "standard deviation over folds", 1.032, lambda seen: fold_errors(seen).std(axis=1)
        ),
        *(
            reported("mor-mlp-cv", f"error of fold {26 + k}", value, fold_error(25 + k))
            for k, value in enumerate((8.054, 7.562, 9.026, 8.541, 6.744))
        ),
        *(
            reported("mor-final-predict", f"output {k + 1}", value, output(k), 5)
            for k, value in enumerate(PREDICTED)
        ),
    ),
    questions=(
        Choice(
            "The targets are exact linear functions of the inputs, and the error is about 8. What does that mean?",
            (
                "That training stopped too early.",
                "That the rows are noisy.",
                "That the network is too small.",
            ),
            (0,),
            "Without noise nothing but the training stands between the network and an error of 0: twenty rectified "
            "units can make three linear functions.",
        ),
        Choice(
            "How many output units does a network need for three quantities?",
            ("One.", "Three, each linear.", "Three, with a softmax."),
            (1,),
            "A softmax would force them to sum to 1.",
        ),
    ),
    shows=(
        Shown("train error", lambda seen, name: seen.error(name, "train")),
        Shown("test error", lambda seen, name: seen.error(name)),
    ),
    curves=("loss",),
    figures=figures,
    learned="Give a network one linear output per quantity. A score with a spread says how well it was estimated, not "
    "how good it could be: look whether the loss still falls before you call it the model's error.",
    own_rows=on_other_rows,
)
