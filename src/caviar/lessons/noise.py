"""Noise: does disturbing a network while it trains make it generalize better, and does it bear disturbed rows?"""

from functools import partial

import keras
import numpy as np

from caviar.evaluate.claims import above, between, exactly
from caviar.teaching.contract import (
    Choice,
    Claim,
    Lesson,
    Lines,
    Match,
    Shown,
    Untold,
    Variant,
    Winner,
    reported_accuracies,
)
from caviar.teaching.rows import circles
from caviar.teaching.seen import Lab, Seen

DISTURBANCES = (0.0, 0.05, 0.1, 0.15, 0.2)
"""Standard deviations of what is added to test rows; the data's own noise has 0.1."""


def build(n_inputs: int = 2, inputs: float = 0.0, hidden: float = 0.0) -> keras.Model:
    """Five hundred hidden units, disturbed before them or after them; a noise of 0 does nothing."""
    layers = [
        keras.Input((n_inputs,)),
        keras.layers.GaussianNoise(inputs),
        keras.layers.Dense(500, activation="relu"),
        keras.layers.GaussianNoise(hidden),
        keras.layers.Dense(1, activation="sigmoid"),
    ]
    model = keras.Sequential(layers)
    model.compile("adam", loss="binary_crossentropy", metrics=["accuracy"])
    return model


def also(lab: Lab, seen: Seen) -> dict[str, np.ndarray | bool]:
    """Accuracy on disturbed test rows (seed, disturbance), and what the noise layers do at evaluation."""
    assert lab.data is not None
    _, test = lab.data.splits[0]
    x, y = lab.data.x[test], lab.data.y[test]
    names = tuple(seen.trainings)
    right: dict[str, list[np.ndarray]] = {name: [] for name in names}
    same, moves = [], []
    for place in range(len(lab.seeds)):
        offsets = lab.rng(place).normal(size=(20, *x.shape)).astype(np.float32)
        for name in names:
            model = seen.model(name, place)
            disturbed = np.concatenate(
                [(x + size * offsets).reshape(-1, x.shape[1]) for size in DISTURBANCES]
            )
            said = np.asarray(model(disturbed))[:, 0] > 0.5
            right[name].append((said.reshape(len(DISTURBANCES), -1, len(y)) == y).mean(axis=(1, 2)))
        model = seen.model("hidden", place)
        same.append(np.array_equal(np.asarray(model(x)), np.asarray(model(x))))
        first, second = (np.asarray(model(x, training=True)) for _ in range(2))
        moves.append(not np.array_equal(first, second))
    return {f"disturbed {name}": np.array(values) for name, values in right.items()} | {
        "same": all(same),
        "moves": all(moves),
    }


def figures(seen: Seen) -> list[Lines]:
    """Accuracy under disturbances of several sizes."""
    return [
        Lines(
            "Accuracy on disturbed test rows",
            np.array(DISTURBANCES),
            {name: seen[f"disturbed {name}"] for name in seen.trainings},
            "standard deviation of the disturbance",
            "test accuracy",
        )
    ]


def spikes(seen: Seen, variant: str) -> np.ndarray:
    """Roughness of the training loss over the last 1,000 epochs (seed,), when its first fall is over."""
    return seen.rough(variant, "loss", last=1000)


LESSON = Lesson(
    name="noise",
    title="Noise while training",
    area="generalization",
    covers=("mc-l6-noise", "mc-l6-noise-input"),
    why="A network that never sees the same row twice can hardly learn it by heart. Gaussian noise of standard "
    "deviation 0.1 is added either to what the hidden layer says, as in the source, or to the inputs, which the "
    "source mentions and does not try. The layers act in training only. Beside loss and accuracy, test rows are "
    "disturbed on purpose, because that a model bears disturbance is a claim of its own.",
    data=circles(100, train=30),
    variants=(
        Variant("none", "no noise", build, epochs=4000),
        Variant("hidden", "noise after the hidden layer", partial(build, hidden=0.1), epochs=4000),
        Variant("input", "noise on the inputs", partial(build, inputs=0.1), epochs=4000),
    ),
    also=also,
    claims=(
        Claim(
            "Noise after the hidden layer lowers the final test loss.",
            ["mc-l6-noise/0", "mc-summary-claims/4"],
            lambda seen: seen.late("none", "val_loss") - seen.late("hidden", "val_loss"),
            above(0),
            "test loss over the last 100 epochs, none minus hidden",
        ),
        Claim(
            "It raises the test accuracy.",
            ["mc-l6-noise/0"],
            lambda seen: seen.accuracy("hidden") - seen.accuracy("none"),
            above(0),
            "test accuracy, hidden minus none",
        ),
        Claim(
            "It makes the model bear disturbed rows better.",
            ["mc-l6-noise/0", "mc-summary-claims/4"],
            lambda seen: seen["disturbed hidden"][:, 2] - seen["disturbed none"][:, 2],
            above(0),
            "accuracy on test rows disturbed by noise of 0.1, hidden minus none",
        ),
        Claim(
            "Two readers' numbers agree to the last digit: the gain is smaller than one test row.",
            [],
            lambda seen: seen.accuracy("hidden") - seen.accuracy("none"),
            between(-1 / 70, 1 / 70),
            "test accuracy, hidden minus none; one row of seventy is 0.014",
            who="caviar",
        ),
        Claim(
            "Noise makes the training loss spiky.",
            ["mc-l6-noise/1"],
            lambda seen: spikes(seen, "hidden") / spikes(seen, "none"),
            above(2),
            "roughness of the training loss over the last 1,000 epochs, hidden as a multiple of none",
            who="reader",
        ),
        Claim(
            "Noise is inactive at evaluation: asked twice, a model answers the same.",
            ["mc-l6-noise/2"],
            lambda seen: seen["same"],
            exactly(1),
            "whether all models do",
        ),
        Claim(
            "In training it is active: asked twice, the same model answers differently.",
            [],
            lambda seen: seen["moves"],
            exactly(1),
            "whether all models do",
            who="caviar",
        ),
        Claim(
            "Noise on the inputs lowers the final test loss.",
            [],
            lambda seen: seen.late("none", "val_loss") - seen.late("input", "val_loss"),
            above(0),
            "test loss over the last 100 epochs, none minus input",
            who="caviar",
        ),
        Claim(
            "Noise on the inputs lowers it further than noise after the hidden layer.",
            [],
            lambda seen: seen.late("hidden", "val_loss") - seen.late("input", "val_loss"),
            above(0),
            "test loss over the last 100 epochs, hidden minus input",
            who="caviar",
        ),
        Claim(
            "Noise on the inputs makes the model bear disturbed rows better.",
            [],
            lambda seen: seen["disturbed input"][:, 2] - seen["disturbed none"][:, 2],
            above(0),
            "accuracy on test rows disturbed by noise of 0.1, input minus none",
            who="caviar",
        ),
    ),
    reported=(
        *reported_accuracies("mc-l6-noise", "hidden", 0.967, 0.771, "R2"),
        *reported_accuracies("mc-l6-noise", "hidden", 0.978, 0.751, "R3, changed code"),
    ),
    untold=(
        Untold(
            "mc-l6-noise", "Four numbers of reader R4 are about rows of their own, which are not available."
        ),
    ),
    questions=(
        Winner(
            "Which ends with the lowest test loss?",
            lambda seen, name: seen.late(name, "val_loss"),
            highest=False,
        ),
        Match("loss", ("none", "hidden", "input")),
        Choice(
            "When does a GaussianNoise layer add noise?",
            ("in training", "when the test rows are scored", "when the finished model predicts"),
            (0,),
            "Keras calls it with training=True in `fit` only; everywhere else it hands its inputs on.",
        ),
    ),
    shows=(
        Shown("training accuracy", lambda seen, name: seen.accuracy(name, "train")),
        Shown("test accuracy", lambda seen, name: seen.accuracy(name)),
        Shown("test loss", lambda seen, name: seen.late(name, "val_loss")),
        Shown("accuracy on disturbed rows", lambda seen, name: seen[f"disturbed {name}"][:, 2]),
    ),
    figures=figures,
    learned="Noise lowered the test loss wherever it entered, and on the inputs further than after the hidden layer. "
    "But only noise after the hidden layer made the model bear disturbed rows better; noise on the inputs made it "
    "bear them worse. Measure what you want noise for.",
)
