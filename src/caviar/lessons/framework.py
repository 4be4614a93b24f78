"""A framework: does looking at a network tell where its problem lies, before anything is treated?"""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import log_loss

from caviar.diagnose.diagnosis import AREAS, diagnose
from caviar.diagnose.evidence import Evidence
from caviar.evaluate.claims import above
from caviar.evaluate.compare import rope_of
from caviar.evaluate.variance import spread
from caviar.teaching.contract import (
    Choice,
    Claim,
    Data,
    Drawing,
    Lesson,
    Lines,
    Match,
    Naming,
    Shown,
    Untold,
    Variant,
    Winner,
)
from caviar.teaching.rows import circles, folds
from caviar.teaching.seen import Lab, Seen

TOGETHER = 3
"""Seeds that are looked at together: a problem of prediction shows in no single training."""
SICK = ("stuck", "overfit", "shaky")
RIGHT = {"stuck": "rate", "overfit": "price", "shaky": "average"}
"""Which technique answers which problem."""


def build(n_inputs: int = 2, units: int = 100, rate: float = 1e-3, l2: float = 0.0) -> keras.Model:
    """One hidden layer, with a price on its weights if wanted."""
    model = keras.Sequential(
        [
            keras.Input((n_inputs,)),
            keras.layers.Dense(units, activation="relu", kernel_regularizer=keras.regularizers.L2(l2)),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(keras.optimizers.Adam(rate), loss="binary_crossentropy", metrics=["accuracy"])
    return model


def five_folds(folder: Path | None) -> Data:
    """Two noisy circles in five folds."""
    rows = circles(200, train=100)(folder)
    return replace(rows, title="two noisy circles, 200 rows in five folds", splits=folds(rows.y, 5, seed=1))


def few(data: Data) -> np.ndarray:
    """Sixty rows: the first ones of circles, which are in no order; of another table any."""
    order = np.arange(len(data.y))
    return np.asarray((np.random.default_rng(1).permutation(order) if data.is_own else order) < 60)


def variant(name: str, title: str, **given: Any) -> Variant:  # noqa: ANN401
    """A network, trained for a hundred epochs."""
    return Variant(name, title, partial(build, **given), epochs=100)


def starved(name: str, title: str, **given: Any) -> Variant:  # noqa: ANN401
    """A network that sees few rows, and those often."""
    return Variant(name, title, partial(build, **given), epochs=400, rows=few)


def losses(seen: Seen, name: str, rows: Any = "test") -> np.ndarray:  # noqa: ANN401
    """Log-loss on each fold's rows (seed, fold)."""
    return seen.by_fold(name, lambda said, y: surprise(said[:, 0], y), rows)


def surprise(said: np.ndarray, y: np.ndarray) -> float:
    """Mean of minus the log probability of each row's class."""
    return float(-np.log(np.clip(np.where(y == 1, said, 1 - said), 1e-7, 1)).mean())


def threes(seeds: int) -> list[list[int]]:
    """Places of each three seeds, no seed in two groups; of fewer than three, all."""
    ends = range(min(TOGETHER, seeds), seeds + 1, TOGETHER)
    return [list(range(max(0, end - TOGETHER), end)) for end in ends]


def averaged(seen: Seen, name: str) -> np.ndarray:
    """Log-loss of the average of what three seeds say (group,)."""
    training, y = seen.trainings[name], seen.rows.y
    outputs = training.outputs["test"]
    return np.array(
        [
            np.mean(
                [
                    surprise(np.mean([outputs[place][fold][:, 0] for place in group], axis=0), y[test])
                    for fold, (_, test) in enumerate(training.splits)
                ]
            )
            for group in threes(len(outputs))
        ]
    )


def apart(seen: Seen, name: str) -> np.ndarray:
    """Log-loss of the same three seeds, each by itself, on average (group,)."""
    scores = losses(seen, name).mean(axis=1)
    return np.array([scores[group].mean() for group in threes(len(scores))])


def reference(data: Data) -> float:
    """Log-loss of boosted trees on the same folds: what can be reached without a network."""
    scores = []
    for train, test in data.splits:
        trees = HistGradientBoostingClassifier(max_iter=30, random_state=0).fit(data.x[train], data.y[train])
        scores.append(log_loss(data.y[test], trees.predict_proba(data.x[test]), labels=[0, 1]))
    return float(np.mean(scores))


def evidence(seen: Seen, name: str, places: list[int], best: float) -> Evidence:
    """What Caviar's checks may see of some seeds of a variant: curves, scores, and how far seeds differ."""
    training = seen.trainings[name]
    scores, fitted = losses(seen, name)[places], losses(seen, name, "train")[places]
    classes = np.array(
        [np.concatenate([one[:, 0] > 0.5 for one in training.outputs["test"][k]]) for k in places]
    )
    share = float(seen.rows.y.mean())
    no_skill = surprise(np.full(len(seen.rows.y), share), seen.rows.y)
    return Evidence(
        loss=training.logs["loss"][places].reshape(scores.size, -1),
        held_out_loss=training.logs["val_loss"][places].reshape(scores.size, -1),
        scores=scores,
        fit_scores=fitted,
        seed_scores=scores.T,
        flips=float((classes != classes[0]).any(axis=0).mean()),
        failed=~np.isfinite(scores).ravel(),
        higher_is_better=False,
        no_skill=no_skill,
        best_reference=best,
        rope=rope_of(no_skill, min(best, no_skill)),
        spread=spread(scores.T),
        metric="log-loss",
    )


def also(lab: Lab, seen: Seen) -> dict[str, Any]:
    """The area that a diagnosis of each three seeds names, for each sick network."""
    assert lab.data is not None
    best, groups = reference(lab.data), threes(len(lab.seeds))
    return {
        name: np.array([diagnose(evidence(seen, name, group, best), ()).area for group in groups])
        for name in SICK
    }


def left(seen: Seen, sick: str, technique: str) -> np.ndarray:
    """Log-loss of a sick network under a technique, for each three seeds (group,)."""
    return averaged(seen, sick) if technique == "average" else apart(seen, f"{sick} {technique}")


def wrong_by(seen: Seen, sick: str) -> np.ndarray:
    """How much better its own technique is than the better one of the other two, in log-loss (group,)."""
    others = [left(seen, sick, other) for other in RIGHT.values() if other != RIGHT[sick]]
    return np.asarray(np.minimum(*others) - left(seen, sick, RIGHT[sick]))


def named(sick: str, says: str) -> Claim:
    """That the diagnosis names the right area of a sick network."""
    area = AREAS[SICK.index(sick)]
    return Claim(
        says,
        ["mc-l1-framework/0"],
        lambda seen: seen[sick] == area,
        above(0.5),
        f"share of groups of three seeds whose diagnosis says “{area}”",
    )


def treated(sick: str, says: str) -> Claim:
    """That the technique of its area helps a sick network most."""
    return Claim(
        says,
        ["mc-l1-framework/0"],
        lambda seen: wrong_by(seen, sick),
        above(0),
        "log-loss under the better one of the other two techniques minus log-loss under this one, per three seeds",
        amended="No seed is in two groups of three; groups that shared seeds had been judged as independent.",
    )


def figures(seen: Seen) -> list[Drawing]:
    """Learning curves of the sick networks: one seed each on the first fold, and other seeds of the shaky one."""
    drawn = []
    for name in SICK:
        logs = seen.trainings[name].logs
        epochs = np.arange(1, logs["loss"].shape[2] + 1)
        lines = {"training": logs["loss"][0, 0], "held out": logs["val_loss"][0, 0]}
        drawn.append(Lines(f"One training: {name}", epochs, lines, "epoch", "loss"))
    many = {
        f"seed {k + 1}": seen.trainings["shaky"].logs["val_loss"][k, 0]
        for k in range(min(5, len(seen.seeds)))
    }
    drawn.append(
        Lines("What one curve cannot show: other seeds of shaky", epochs, many, "epoch", "held-out loss")
    )
    return list(drawn)


LESSON = Lesson(
    name="framework",
    title="A framework for better learning",
    area="practice",
    covers=("mc-l1-framework", "mc-summary-claims"),
    why="Before a technique is chosen, the problem should have a name: does the network not learn its own training "
    "rows, does it learn them and fail on others, or is it another network with every seed? Three networks are made "
    "sick on purpose: one whose steps are a thousand times too small, one with a hundred units, large steps and 48 "
    "rows to train on, and one so small that luck decides where it ends. Caviar's checks look at curves and scores "
    "of three seeds at a time and name the area. Then each network gets all three kinds of technique: another "
    "learning rate, a price on weights, an average of three networks.",
    data=five_folds,
    variants=(
        variant("stuck", "steps far too small", rate=1e-6),
        variant("stuck rate", "steps a thousand times as large", rate=1e-3),
        variant("stuck price", "with L2 of 0.01", rate=1e-6, l2=0.01),
        starved("overfit", "too large for its rows", rate=0.03),
        starved("overfit rate", "steps three times as large", rate=0.1),
        starved("overfit price", "with L2 of 0.01", rate=0.03, l2=0.01),
        variant("shaky", "three units", units=3, rate=0.03),
        variant("shaky rate", "steps three times as large", units=3, rate=0.1),
        variant("shaky price", "with L2 of 0.01", units=3, rate=0.03, l2=0.01),
    ),
    also=also,
    claims=(
        named("stuck", "A network that does not learn is found to have a learning problem."),
        named(
            "overfit", "A network that learns its rows by heart is found to have a generalization problem."
        ),
        named("shaky", "A network that luck decides about is found to have a prediction problem."),
        treated("stuck", "A network that does not learn is helped most by another learning rate."),
        treated("overfit", "A network that learns its rows by heart is helped most by a price on weights."),
        treated("shaky", "A network that luck decides about is helped most by an average of three."),
    ),
    untold=(
        Untold("mc-summary-claims/0", "Decided in the lesson on batch size."),
        Untold("mc-summary-claims/1", "Decided in the lesson on learning rate schedules."),
        Untold("mc-summary-claims/2", "Decided in the lesson on batch normalization."),
        Untold("mc-summary-claims/3", "Decided in the lesson weight-regularization."),
        Untold("mc-summary-claims/4", "Decided in the lesson noise."),
        Untold("mc-summary-claims/5", "Decided in the lesson early-stopping."),
    ),
    questions=(
        Winner(
            "Which of the sick networks has the highest accuracy on its own training rows?",
            lambda seen, name: seen.accuracy(name, "train"),
            SICK,
        ),
        Match("val_loss", SICK, "Which held-out loss belongs to which network?"),
        Naming(
            "Name two techniques for better learning.",
            {
                "learning rate": ("rate", "step size"),
                "learning rate schedule": ("schedule", "decay", "warmup", "cyclical learning rate"),
                "batch size": ("mini-batch", "batch"),
                "batch normalization": ("batch normalisation", "batch norm", "batchnorm", "bn"),
                "optimizer": ("adam", "momentum", "rmsprop", "sgd"),
                "scaling the inputs": ("scaling", "standardization", "standardisation", "normalization"),
                "initialization": ("initialisation", "weight initialization", "he initialization"),
                "activation function": ("activation", "relu"),
                "more units or layers": ("units", "layers", "capacity", "larger network", "number of layers"),
                "more epochs": ("epochs", "train longer"),
                "gradient clipping": ("clipping",),
                "better data": ("well-defined data", "low noise", "number of samples", "more data"),
            },
            2,
            "They make the training loss fall further, or sooner.",
        ),
        Naming(
            "Name two techniques for better generalization.",
            {
                "weight regularization": (
                    "l2",
                    "l1",
                    "weight decay",
                    "weight regularisation",
                    "regularization",
                ),
                "dropout": (),
                "noise": ("gaussian noise", "adding noise"),
                "early stopping": ("stop early",),
                "max-norm": ("weight constraint", "constraint", "maxnorm"),
                "fewer units or layers": ("smaller network", "fewer layers", "number of layers"),
                "more data": ("more rows", "data augmentation", "augmentation"),
                "label smoothing": (),
                "mixup": (),
            },
            2,
            "They keep the network from learning by heart what holds for its training rows only.",
        ),
        Naming(
            "Name two techniques for better predictions.",
            {
                "ensemble": (
                    "ensembles",
                    "averaging models",
                    "model averaging",
                    "average of several networks",
                ),
                "weight averaging": ("exponential moving average", "ema", "polyak averaging", "swa"),
                "snapshot ensemble": ("snapshots",),
                "bagging": ("bootstrap", "resampling ensemble"),
                "stacking": ("stacked generalization",),
                "repeated training": ("repeats", "several seeds"),
                "lower learning rate at the end": ("learning rate decay", "schedule"),
                "batch normalization": ("batch normalisation", "batch norm", "batchnorm"),
            },
            2,
            "They take away what the seed has decided. One learning curve with spikes does not show that: it takes "
            "several trainings.",
        ),
        Choice(
            "The training loss stays where it began. Which area is that?",
            AREAS,
            (0,),
            "What cannot be learned from the training rows cannot be carried over to others either.",
        ),
    ),
    shows=(
        Shown("log-loss on training rows", lambda seen, name: losses(seen, name, "train").mean(axis=1)),
        Shown("log-loss on held-out rows", lambda seen, name: losses(seen, name).mean(axis=1)),
        Shown("the same, three averaged", averaged),
    ),
    figures=figures,
    learned="Ask in this order: does it learn, does it carry over, does it say the same with another seed? Each of "
    "the three networks was helped most by the technique that answers its own problem. The third question takes "
    "several trainings.",
)
