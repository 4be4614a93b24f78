"""Early stopping: what is gained by stopping in time, and how honest is a score on the rows that told when?"""

from dataclasses import replace

import keras
import numpy as np
from sklearn.datasets import make_circles

from caviar.evaluate.claims import above, between, exactly
from caviar.teaching.contract import (
    Bars,
    Choice,
    Claim,
    Data,
    Lesson,
    Match,
    Shown,
    Untold,
    Variant,
    Winner,
    reported_accuracies,
)
from caviar.teaching.rows import circles
from caviar.teaching.seen import Lab, Seen

PATIENCE = 200
FRESH = 2000
"""Rows of the same kind that no training has seen, to tell the truth with."""
DRAWN = "only of circles fresh rows can be drawn"
AMENDED = (
    "Watched rows were only compared with fresh ones, from which test rows that nobody watched turned out to differ "
    "too."
)


def build(n_inputs: int = 2) -> keras.Model:
    """Five hundred hidden units."""
    model = keras.Sequential(
        [
            keras.Input((n_inputs,)),
            keras.layers.Dense(500, activation="relu"),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile("adam", loss="binary_crossentropy", metrics=["accuracy"])
    return model


def stop(*, restore: bool) -> keras.callbacks.EarlyStopping:
    """Stop once the watched loss has not fallen for 200 epochs; go back to the best weights or stay."""
    return keras.callbacks.EarlyStopping("val_loss", patience=PATIENCE, restore_best_weights=restore)


def drawn(lab: Lab, train: int, watched: int) -> Data:
    """Other circles for each seed: some of their first thirty rows to train on, and rows that are watched.

    Args:
        lab: Its seeds say which circles.
        train: How many rows are trained on.
        watched: How many of the next ones are watched.
    """
    rows = [make_circles(n_samples=100, noise=0.1, random_state=1000 + seed) for seed in lab.seeds]
    starts = [100 * place for place in range(len(rows))]
    return Data(
        "circles of each seed's own",
        np.concatenate([x for x, _ in rows]).astype(np.float32),
        np.concatenate([y for _, y in rows]),
        [(start + np.arange(train), start + np.arange(train, train + watched)) for start in starts],
    )


def also(lab: Lab, seen: Seen) -> dict[str, np.ndarray]:
    """Scores on watched rows beside scores on fresh ones; each draw of rows counts as a seed.

    A training that watches the seventy test rows is told when to stop by rows that it is then scored on. One that
    watches ten of its thirty training rows is not.
    """
    if seen.rows.is_own:  # nobody can draw more rows of that kind
        return {}
    variant = replace(seen.trainings["best"].variant, name="best")
    x, y = make_circles(n_samples=FRESH, noise=0.1, random_state=2)
    scores: dict[str, list[np.ndarray]] = {}
    for way, train, watched in (("test", 30, 70), ("inner", 20, 10)):
        data = drawn(lab, train, watched)
        there = lab.train(variant, data=data, seeds=lab.seeds[:1])
        for place, start in enumerate(range(0, len(data.y), 100)):
            model = there.model("best", fold=place)
            test = slice(start + 30, start + 100)
            for rows, inputs, targets in (("test", data.x[test], data.y[test]), ("fresh", x, y)):
                said = np.asarray(model(inputs.astype(np.float32)))[:, 0]
                scores.setdefault(f"accuracy, {way} rows watched, {rows}", []).append((said > 0.5) == targets)
                scores.setdefault(f"loss, {way} rows watched, {rows}", []).append(surprise(said, targets))
    return {name: np.array([one.mean() for one in values]) for name, values in scores.items()}


def stopped(seen: Seen) -> np.ndarray:
    """Which trainings stopped early (seed,)."""
    return np.asarray(seen.trained("stop") < seen.trained("none"))


def after_best(seen: Seen) -> np.ndarray:
    """Epochs from the lowest test loss to the stop (seed,)."""
    return np.asarray(seen.trained("stop") - seen.best_epoch("stop", "val_loss"))


def surprise(said: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Minus log probability of each row's class (row,), as Keras' binary cross-entropy clips it."""
    right = np.where(targets == 1, said, 1 - said)
    return -np.log(np.clip(right, 1e-7, 1))


def flattery(seen: Seen, way: str, score: str) -> np.ndarray:
    """How much better the seventy rows look than fresh ones (draw,)."""
    test, fresh = (seen[f"{score}, {way} rows watched, {rows}"] for rows in ("test", "fresh"))
    return test - fresh if score == "accuracy" else fresh - test


def by_watching(seen: Seen, score: str) -> np.ndarray:
    """How much more the seventy rows flatter where they were watched than where others were (draw,).

    make_circles puts points at regular angles, so test rows lie between the rows that are trained on, and fresh rows
    everywhere: the two differ whoever watches them.
    """
    return flattery(seen, "test", score) - flattery(seen, "inner", score)


def figures(seen: Seen) -> list[Bars]:
    """What the draws say about flattery."""
    if seen.rows.is_own:
        return []
    return [
        Bars(
            "How much better the test rows look than fresh ones",
            {
                "they were watched": flattery(seen, "test", "accuracy"),
                "others were": flattery(seen, "inner", "accuracy"),
            },
            "accuracy on the test rows minus accuracy on fresh rows",
        )
    ]


LESSON = Lesson(
    name="early-stopping",
    title="Early stopping",
    area="generalization",
    covers=("mc-l7-earlystop",),
    why="A network that is too large passes through a good one on its way to learning thirty rows by heart. "
    "Training stops once the loss on the test rows has not fallen for 200 epochs. The source then scores the "
    "weights of the last epoch, 200 after the best; a third variant goes back to the best ones. And the source "
    "watches the rows that it scores on: so the same is done with circles drawn anew for each seed, where fresh "
    "rows tell the truth, and where ten of the training rows are watched instead. These circles have their points at "
    "regular angles, so that test rows lie between the training rows and fresh ones everywhere: what watching does is "
    "what differs between both ways.",
    data=circles(100, train=30),
    variants=(
        Variant("none", "no stop", build, epochs=4000),
        Variant("stop", "stop, last weights", build, epochs=4000, callbacks=(stop(restore=False),)),
        Variant("best", "stop, best weights", build, epochs=4000, callbacks=(stop(restore=True),)),
    ),
    also=also,
    claims=(
        Claim(
            "Training stops before 4,000 epochs.",
            ["mc-l7-earlystop/0"],
            stopped,
            above(0.5),
            "share of seeds that stop early",
            amended="The share had to lie above 0.8, which not even 30 of 30 seeds could show.",
        ),
        Claim(
            "It stops 200 epochs after the best one.",
            ["mc-l7-earlystop/0"],
            lambda seen: bool(stopped(seen).any() and (after_best(seen)[stopped(seen)] == PATIENCE).all()),
            exactly(1),
            "whether every training that stops early does",
        ),
        Claim(
            "Stopping raises the test accuracy.",
            ["mc-l7-earlystop/1", "mc-summary-claims/5"],
            lambda seen: seen.accuracy("stop") - seen.accuracy("none"),
            above(0),
            "test accuracy, stop minus none",
        ),
        Claim(
            "Stopping lowers the test loss.",
            ["mc-l7-earlystop/1", "mc-summary-claims/5"],
            lambda seen: seen.final("none", "val_loss") - seen.final("stop", "val_loss"),
            above(0),
            "last test loss, none minus stop",
        ),
        Claim(
            "The last weights cost test loss against the best ones.",
            [],
            lambda seen: seen.final("stop", "val_loss") - seen.best("stop", "val_loss"),
            above(0),
            "test loss at the stop minus the lowest one",
            who="caviar",
        ),
        Claim(
            "They cost less than one test row of accuracy.",
            [],
            lambda seen: seen.accuracy("best") - seen.accuracy("stop"),
            between(-1 / 70, 1 / 70),
            "test accuracy, best weights minus last ones; one row of seventy is 0.014",
            who="caviar",
            only_here="one row is another share of its test rows",
        ),
        Claim(
            "Watching rows makes their loss flatter.",
            [],
            lambda seen: by_watching(seen, "loss"),
            above(0),
            "loss of fresh rows minus loss of the test rows, where these were watched minus where others were, best "
            "weights, over draws",
            who="caviar",
            amended=AMENDED,
            only_here=DRAWN,
        ),
        Claim(
            "It makes their accuracy flatter too.",
            [],
            lambda seen: by_watching(seen, "accuracy"),
            above(0),
            "accuracy on the test rows minus accuracy on fresh rows, where the test rows were watched minus where "
            "others were, best weights, over draws",
            who="caviar",
            amended=AMENDED,
            only_here=DRAWN,
        ),
        Claim(
            "Test rows that nobody watched do not flatter.",
            [],
            lambda seen: flattery(seen, "inner", "accuracy"),
            between(-0.03, 0.03),
            "accuracy on the test rows minus accuracy on fresh rows, over draws, ten training rows watched; seventy "
            "rows tell an accuracy to 0.05, thirty draws of them to 0.01, and 0.03 leaves room for that",
            who="caviar",
            only_here=DRAWN,
        ),
        Claim(
            "Ten of thirty rows to watch are missed in training: the true accuracy is lower.",
            [],
            lambda seen: (
                seen["accuracy, test rows watched, fresh"] - seen["accuracy, inner rows watched, fresh"]
            ),
            above(0),
            "accuracy on fresh rows, all thirty trained on minus twenty, over draws",
            who="caviar",
            only_here=DRAWN,
        ),
    ),
    reported=(
        *reported_accuracies("mc-l7-earlystop", "stop", 0.967, 0.829, "R2"),
        *reported_accuracies("mc-l7-earlystop", "stop", 0.977, 0.849, "R3, changed code"),
    ),
    untold=(
        Untold(
            "mc-l7-earlystop",
            "Four numbers of reader R4 are about rows of their own, which are not available.",
        ),
    ),
    questions=(
        Winner(
            "Which ends with the lowest test loss?",
            lambda seen, name: seen.per_member(name, lambda out, y: float(surprise(out[:, 0], y).mean())),
            highest=False,
        ),
        Match("val_loss", ("none", "stop")),
        Choice(
            "Which weights does EarlyStopping leave by default?",
            ("those of the best epoch", "those of the last epoch", "an average of the last epochs"),
            (1,),
            "restore_best_weights is False unless you set it, so the model is as many epochs past its best as the "
            "patience.",
        ),
    ),
    shows=(
        Shown("training accuracy", lambda seen, name: seen.accuracy(name, "train")),
        Shown("test accuracy", lambda seen, name: seen.accuracy(name)),
        Shown("epochs", lambda seen, name: seen.trained(name)),
    ),
    figures=figures,
    learned="Stopping paid here, in test accuracy and in test loss. The best weights are those with the lowest "
    "watched loss: the last ones had a higher loss, and yet more test rows right. How far a score on watched rows "
    "flatters is told by rows that nobody watched, beside them.",
)
