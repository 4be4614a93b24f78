"""Softmax: is one model of all classes as good as one model per class, and what must stand before its loss?"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from sklearn.datasets import load_wine
from sklearn.preprocessing import StandardScaler

from caviar.evaluate.claims import above, exactly
from caviar.teaching.contract import Choice, Claim, Data, Drawing, Lesson, Regions, Variant, Winner
from caviar.teaching.rows import folds
from caviar.teaching.seen import Lab, Seen

CLASSES = 3
EPOCHS = 100


def spirals(_: Path | None = None) -> Data:
    """Three arms of a spiral, 200 rows each, half of them to train on."""
    rng = np.random.default_rng(1)
    y = np.tile(np.arange(CLASSES), 200)
    along = rng.uniform(0.1, 1.0, len(y))
    angle = 2 * np.pi * y / CLASSES + 4 * along + rng.normal(0, 0.15, len(y))
    x = np.stack([along * np.cos(angle), along * np.sin(angle)], axis=1)
    return Data("three noisy arms of a spiral", x, y, halves(len(y)), CLASSES, "drawn with NumPy")


def clouds_in_a_row() -> Data:
    """Three clouds whose centres lie on a line: no line parts the middle one from both others."""
    rng = np.random.default_rng(2)
    y = np.tile(np.arange(CLASSES), 200)
    x = rng.normal(0, 0.35, (len(y), 2)) + np.stack([2.0 * y - 2, 2.0 * y - 2], axis=1)
    return Data("three clouds in a row", x, y, halves(len(y)), CLASSES, "drawn with NumPy")


def wine() -> Data:
    """Three sorts of wine by 13 chemical measurements, five folds."""
    x, y = load_wine(return_X_y=True)
    return Data("scikit-learn's wine", x, y, folds(y, 5, 1), CLASSES, "scikit-learn's load_wine")


def halves(rows: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Half of the rows to train on, drawn at random, the others to test on."""
    order = np.random.default_rng(3).permutation(rows)
    return [(order[: rows // 2], order[rows // 2 :])]


def network(hidden: int, outputs: int, activation: str | None, loss: Any) -> keras.Model:  # noqa: ANN401
    """Linear scores if `hidden` is 0, else two dense layers with a nonlinearity between them."""
    layers: list[keras.layers.Layer] = [keras.layers.Dense(hidden, activation="relu")] if hidden else []
    model = keras.Sequential([*layers, keras.layers.Dense(outputs, activation=activation)])
    model.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"])
    return model


SPARSE = keras.losses.SparseCategoricalCrossentropy


def linear(n_outputs: int = CLASSES) -> keras.Model:
    """Softmax regression: linear scores."""
    return network(0, n_outputs, None, SPARSE(from_logits=True))


def two_layers(n_outputs: int = CLASSES) -> keras.Model:
    """Scores from two dense layers."""
    return network(32, n_outputs, None, SPARSE(from_logits=True))


def twice(n_outputs: int = CLASSES) -> keras.Model:
    """The mistake: softmax in the model, and again in a loss that takes logits."""
    return network(32, n_outputs, "softmax", SPARSE(from_logits=True))


def one_class() -> keras.Model:
    """One class against the rest, linear."""
    return network(0, 1, "sigmoid", "binary_crossentropy")


def one_class_two_layers() -> keras.Model:
    """One class against the rest, with as many hidden units as the one model of all classes has."""
    return network(32, 1, "sigmoid", "binary_crossentropy")


def one_against_rest(data: Data) -> Data:
    """A problem per class: all rows once for each, as folds, so that all models train side by side."""
    n = len(data.y)
    return replace(
        data,
        x=np.tile(data.x, (data.classes, 1)),
        y=np.concatenate([(data.y == k).astype(int) for k in range(data.classes)]),
        splits=[(train + k * n, test + k * n) for k in range(data.classes) for train, test in data.splits],
        classes=2,
    )


def accuracy_of_rest(seen: Seen, name: str, data: Data) -> np.ndarray:
    """Accuracy of taking the class whose own model is surest (seed,)."""
    cut = len(data.splits)
    found = []
    for folded in seen.trainings[name].outputs["test"]:
        votes = [
            np.concatenate([folded[k * cut + fold] for k in range(data.classes)], axis=1)
            for fold in range(cut)
        ]
        right = [
            (vote.argmax(axis=1) == data.y[test]).mean()
            for vote, (_, test) in zip(votes, data.splits, strict=True)
        ]
        found.append(np.mean(right))
    return np.array(found)


def also(lab: Lab, seen: Seen) -> dict[str, Any]:
    """One model per class, on all three data sets; other data for the one model; and what large scores do."""
    found: dict[str, Any] = {}
    tables: list[tuple[Any, ...]] = [("here", seen.rows, None, two_layers, one_class_two_layers)]
    if not seen.rows.is_own:
        tables += [
            ("row", clouds_in_a_row(), None, linear, one_class),
            ("wine", wine(), StandardScaler, linear, one_class),
        ]
    for title, data, scale, one, rest in tables:
        apart = lab.train(
            Variant("rest", "one per class", rest, 32, EPOCHS, prepare=scale), data=one_against_rest(data)
        )
        found[f"models {title}"] = len(apart.trainings["rest"].members[0]) // len(data.splits)
        found[f"rest {title}"] = accuracy_of_rest(apart, "rest", data)
        if title != "here":
            whole = lab.train(Variant("one", "softmax", one, 32, EPOCHS, prepare=scale), data=data)
            found[f"one {title}"] = whole.accuracy("one")
    scales = np.array([1.0, 10.0, 50.0, 100.0, 500.0])
    found["naive"] = np.array([naive_loss(scale * np.array([1.0, 0.0, -1.0])) for scale in scales])
    found["stable"] = np.array([keras_loss(scale * np.array([1.0, 0.0, -1.0])) for scale in scales])
    found["exact"] = 2 * scales + np.log1p(np.exp(-scales) + np.exp(-2 * scales))
    return found


def naive_loss(scores: np.ndarray) -> float:
    """Minus log probability of the last class as the formula is written, in single precision."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        powers = np.exp(scores.astype(np.float32))
        return float(-np.log(powers[-1] / powers.sum()))


def keras_loss(scores: np.ndarray) -> float:
    """The same by Keras' loss that takes logits: the largest score is subtracted before powers are taken."""
    return float(SPARSE(from_logits=True)(np.array([2]), scores[None].astype(np.float32)))


def figures(seen: Seen) -> Sequence[Drawing]:
    """Decision regions of the first seed."""
    data = seen.data
    if data is None or data.x.shape[1] != 2:
        return ()
    low, high = data.x.min(axis=0) - 0.2, data.x.max(axis=0) + 0.2
    across, up = (np.linspace(low[i], high[i], 60, dtype=np.float32) for i in range(2))
    plane = np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2)
    test = data.splits[0][1]
    drawn = []
    for name in ("linear", "two-layers"):
        scores = seen.model(name).predict(plane, batch_size=len(plane), verbose=0)
        drawn.append(
            Regions(
                f"Decision regions: {seen.trainings[name].variant.title}",
                across,
                up,
                scores.argmax(axis=1).reshape(len(up), len(across)),
                data.x[test],
                data.y[test],
            )
        )
    return drawn


def floor(classes: int) -> float:
    """The lowest loss of scores that are themselves probabilities: one of them 1, the others 0."""
    return float(np.log(np.e + classes - 1) - 1)


LESSON = Lesson(
    name="softmax",
    title="Softmax: many classes in one model",
    area="learning",
    covers=("sm-softmax-regression", "sm-tip4-decision-boundary"),
    why="A softmax model gives one score per class and turns all of them into probabilities together; the older way "
    "trains one model per class against the rest and takes the surest. The source describes linear scores in one "
    "section and two dense layers in another, so both are trained. It names neither data nor sizes nor a rate: three "
    "arms of a spiral, 32 hidden units and Adam at 0.01 are our choice; clouds in a row and wine are tried beside "
    "them. Its loss takes logits, so a softmax before it is applied twice: the third variant shows what that costs.",
    data=spirals,
    variants=(
        Variant("linear", "linear scores", linear, epochs=EPOCHS),
        Variant("two-layers", "two dense layers", two_layers, epochs=EPOCHS),
        Variant("twice", "two dense layers, softmax twice", twice, epochs=EPOCHS),
    ),
    also=also,
    claims=(
        Claim(
            "One softmax model takes the place of one model per class.",
            ["sm-softmax-regression/0"],
            lambda seen: seen["models here"] == seen.rows.classes,
            exactly(1),
            "whether the other way trains as many models as there are classes",
        ),
        Claim(
            "It is no less accurate than one model per class, both of two layers.",
            ["sm-softmax-regression/0"],
            lambda seen: seen.accuracy("two-layers") - seen["rest here"],
            above(-0.02),
            "test accuracy, softmax minus one model per class",
        ),
        Claim(
            "On wine it is no less accurate than one model per class, both linear.",
            ["sm-softmax-regression/0"],
            lambda seen: seen["one wine"] - seen["rest wine"],
            above(-0.02),
            "accuracy on held-out folds, softmax minus one model per class",
            only_here="it is about wine",
        ),
        Claim(
            "Linear scores part three clouds in a row; linear models of one class against the rest cannot.",
            [],
            lambda seen: seen["one row"] - seen["rest row"],
            above(0.05),
            "test accuracy, softmax minus one model per class",
            who="caviar",
            only_here="its clouds are drawn in a row",
        ),
        Claim(
            "Regions with straight borders, as the drawing shows them, miss the arms that two layers follow.",
            [],
            lambda seen: seen.accuracy("two-layers") - seen.accuracy("linear"),
            above(0.1),
            "test accuracy, two layers minus linear",
            who="caviar",
            only_here="it is about the arms of a spiral",
        ),
        Claim(
            "Softmax before a loss that takes logits slows learning down.",
            [],
            lambda seen: (
                seen.epochs_to("twice", "accuracy", 0.9) - seen.epochs_to("two-layers", "accuracy", 0.9)
            ),
            above(0),
            "epochs to 90 % training accuracy, softmax twice minus once",
            who="caviar",
        ),
        Claim(
            "Softmax twice costs test accuracy.",
            [],
            lambda seen: seen.accuracy("two-layers") - seen.accuracy("twice"),
            above(0),
            "test accuracy, softmax once minus twice",
            who="caviar",
        ),
        Claim(
            "With softmax twice the loss has a floor: log(e + classes - 1) - 1, that of probabilities 1 and 0.",
            [],
            lambda seen: seen.best("twice", "loss") >= floor(seen.rows.classes) - 1e-4,
            above(0.5),
            "share of seeds whose loss never falls below the floor, which is 0.551 of three classes",
            who="caviar",
        ),
        Claim(
            "Powers of scores overflow in single precision; with the largest subtracted first they do not.",
            [],
            lambda seen: bool(
                not np.isfinite(seen["naive"]).all() and np.allclose(seen["stable"], seen["exact"], rtol=1e-5)
            ),
            exactly(1),
            "whether the formula as written fails for some score up to 500, and the stable one is exact for all",
            who="caviar",
        ),
    ),
    questions=(
        Winner("Which one is most accurate on new rows?", lambda seen, name: seen.accuracy(name)),
        Choice(
            "A loss takes logits. What must the last layer's activation be?",
            ("softmax", "none", "sigmoid"),
            (1,),
            "The loss applies softmax itself, in a form that cannot overflow.",
        ),
    ),
    figures=figures,
    learned="Train one model of all classes, leave softmax to a loss that takes logits, and draw the regions: straight "
    "borders around bent classes say that a layer is missing.",
)
"""The lesson."""
