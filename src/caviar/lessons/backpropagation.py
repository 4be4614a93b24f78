"""Back-propagation: is the gradient that it computes right, and what else does training need?"""

from collections.abc import Mapping

import keras
import numpy as np

from caviar.evaluate.claims import above, between, exactly
from caviar.teaching.contract import Choice, Claim, Drawing, Lesson, Lines, Variant, Winner
from caviar.teaching.rows import circles
from caviar.teaching.seen import Lab, Seen

HIDDEN = 16
TOLERANCE = 1e-6  # relative, in float64: differences of step 1e-6 are right to about 1e-9
SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
DRAWS = 200
GENERATIONS, CHILDREN = 200, 20

Weights = list[np.ndarray]


def build(n_inputs: int = 2, optimizer: str | keras.optimizers.Optimizer = "sgd") -> keras.Model:
    """The same small network for every optimizer."""
    model = keras.Sequential(
        [
            keras.Input((n_inputs,)),
            keras.layers.Dense(HIDDEN, activation="tanh"),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(optimizer, loss="binary_crossentropy", metrics=["accuracy"])
    return model


def sgd(n_inputs: int = 2) -> keras.Model:
    """Steps along the gradient."""
    return build(n_inputs, keras.optimizers.SGD(0.1))


def momentum(n_inputs: int = 2) -> keras.Model:
    """Steps that remember the last ones."""
    return build(n_inputs, keras.optimizers.SGD(0.1, momentum=0.9))


def rmsprop(n_inputs: int = 2) -> keras.Model:
    """Steps divided by the gradient's recent size, weight by weight."""
    return build(n_inputs, keras.optimizers.RMSprop(0.01))


def adam(n_inputs: int = 2) -> keras.Model:
    """Both."""
    return build(n_inputs, keras.optimizers.Adam(0.01))


def forward(weights: Weights, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hidden activations (row, unit) and probabilities (row,)."""
    w1, b1, w2, b2 = weights
    hidden = np.tanh(x @ w1 + b1)
    return hidden, 1 / (1 + np.exp(-(hidden @ w2 + b2)[:, 0]))


def loss(weights: Weights, x: np.ndarray, y: np.ndarray) -> float:
    """Mean cross-entropy."""
    p = np.clip(forward(weights, x)[1], 1e-12, 1 - 1e-12)
    return float(-np.mean(y * np.log(p) + (1 - y) * np.log(1 - p)))


def backpropagate(weights: Weights, x: np.ndarray, y: np.ndarray) -> Weights:
    """The gradient of the loss by the chain rule, from the output back to the inputs."""
    _, _, w2, _ = weights
    hidden, p = forward(weights, x)
    at_output = ((p - y) / len(y))[:, None]  # of cross-entropy and sigmoid together
    at_hidden = (at_output @ w2.T) * (1 - hidden**2)
    return [x.T @ at_hidden, at_hidden.sum(0), hidden.T @ at_output, at_output.sum(0)]


def differences(weights: Weights, x: np.ndarray, y: np.ndarray, step: float = 1e-6) -> Weights:
    """The same gradient without the chain rule: every weight is moved a little both ways."""
    found = []
    for i, part in enumerate(weights):
        slope = np.zeros_like(part)
        for place in np.ndindex(part.shape):
            ends = []
            for way in (step, -step):
                moved = part.copy()
                moved[place] += way
                ends.append(loss([*weights[:i], moved, *weights[i + 1 :]], x, y))
            slope[place] = (ends[0] - ends[1]) / (2 * step)
        found.append(slope)
    return found


def flat(weights: Weights) -> np.ndarray:
    """All numbers in one row."""
    return np.concatenate([part.ravel() for part in weights])


def keras_gradient(model: keras.Model, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """What Keras' own step moves the weights by, divided by the rate: the gradient that it used."""
    before = [weight.copy() for weight in model.get_weights()]
    model.fit(x, y, batch_size=len(x), epochs=1, shuffle=False, verbose=0)
    rate = float(np.asarray(model.optimizer.learning_rate))
    return flat([(old - new) / rate for old, new in zip(before, model.get_weights(), strict=True)])


def evolve(weights: Weights, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Losses of the best of each generation: children differ at random, and the best parent or child stays."""
    best, size, losses = weights, 0.3, [loss(weights, x, y)]
    for _ in range(GENERATIONS):
        children = [[part + size * rng.normal(size=part.shape) for part in best] for _ in range(CHILDREN)]
        scores = [loss(child, x, y) for child in children]
        winner = int(np.argmin(scores))
        better = scores[winner] < losses[-1]
        size *= 1.1 if better else 0.9
        best = children[winner] if better else best
        losses.append(min(scores[winner], losses[-1]))
    return np.array(losses)


def also(lab: Lab, seen: Seen) -> Mapping[str, np.ndarray]:
    """Gradients of trained networks by three ways, their noise by batch size, and training without any gradient."""
    assert lab.data is not None
    train, _ = lab.data.splits[0]
    x, y = lab.data.x[train].astype(float), lab.data.y[train].astype(float)
    by_differences, by_keras, mean_error, slopes, curves, noises = [], [], [], [], [], []
    for place in range(len(lab.seeds)):
        rng = lab.rng(place)
        model = seen.model("sgd", place)
        weights = [np.asarray(weight, float) for weight in model.get_weights()]
        full = flat(backpropagate(weights, x, y))
        size = np.linalg.norm(full)
        by_differences.append(np.linalg.norm(flat(differences(weights, x, y)) - full) / size)
        by_keras.append(
            np.linalg.norm(keras_gradient(model, x.astype(np.float32), y.astype(np.float32)) - full) / size
        )
        parts = np.array_split(rng.permutation(len(x)), max(1, len(x) // 25))
        gradients = [flat(backpropagate(weights, x[part], y[part])) for part in parts]
        mean = np.average(gradients, axis=0, weights=[len(part) for part in parts])
        mean_error.append(np.linalg.norm(mean - full) / size)
        noise = []
        for batch in SIZES:
            drawn = [rng.integers(0, len(x), batch) for _ in range(DRAWS)]
            some = np.array([flat(backpropagate(weights, x[rows], y[rows])) for rows in drawn])
            noise.append(float(((some - full) ** 2).sum(axis=1).mean()))
        noises.append(noise)
        slopes.append(np.polyfit(np.log(SIZES), np.log(noise), 1)[0])
        first = [rng.normal(scale=0.3, size=part.shape) for part in weights]
        curves.append(evolve(first, x, y, rng))
    return {
        "differences": np.array(by_differences),
        "keras": np.array(by_keras),
        "mean": np.array(mean_error),
        "slope": np.array(slopes),
        "noise": np.array(noises),
        "evolution": np.array(curves),
    }


def figures(seen: Seen) -> list[Drawing]:
    """Noise against batch size, and training without gradients beside training with them."""
    looks = np.arange(GENERATIONS + 1) * CHILDREN + 1.0
    epochs = seen.log("sgd", "loss").shape[1]
    return [
        Lines(
            "Noise of the gradient",
            np.array(SIZES, float),
            {"mean squared distance to the full gradient": seen["noise"]},
            "rows per batch",
            "squared distance",
            log_x=True,
            log_y=True,
        ),
        Lines(
            "Without gradients",
            looks,
            {
                "evolution": seen["evolution"],
                "gradient descent, all rows": np.stack(
                    [np.interp(looks, np.arange(1, epochs + 1), curve) for curve in seen.log("sgd", "loss")]
                ),
            },
            "passes over all rows",
            "training loss",
            log_x=True,
        ),
    ]


LESSON = Lesson(
    name="backpropagation",
    title="Back-propagation is not an optimizer",
    area="practice",
    covers=("backprop-vs-sgd",),
    why="Back-propagation says which way is down, for every weight at once; an optimizer decides how to step. "
    "The gradient of "
    "a network is computed here by the chain rule in five lines, by moving each weight a little (in float64), "
    "and by Keras. "
    "Four optimizers then use the same gradients, and an evolution strategy does without any.",
    data=circles(300, train=200),
    variants=tuple(
        Variant(made.__name__, title, made, batch_size=None, epochs=1000)
        for made, title in (
            (sgd, "gradient descent"),
            (momentum, "with momentum"),
            (rmsprop, "RMSProp"),
            (adam, "Adam"),
        )
    ),
    also=also,
    claims=(
        Claim(
            "Back-propagation computes the gradient: moving each weight a little gives the same.",
            ["backprop-vs-sgd/0"],
            lambda seen: seen["differences"] < TOLERANCE,
            above(0.5),
            f"share of networks in which both agree to {TOLERANCE:g} of the gradient's length",
        ),
        Claim(
            "Keras' step uses this gradient.",
            [],
            lambda seen: seen["keras"] < 1e-3,
            above(0.5),
            "share of networks in which what Keras moved agrees to 0.001 of the gradient's length, in float32",
            who="caviar",
        ),
        Claim(
            "The gradients of all batches of an epoch average to the full gradient.",
            ["backprop-vs-sgd/1"],
            lambda seen: bool((seen["mean"] < 1e-9).all()),
            exactly(1),
            "distance of the average, each batch counted by its rows, to the full gradient is below 1e-9 of its length",
        ),
        Claim(
            "The noise of a batch's gradient falls as one over its number of rows.",
            ["backprop-vs-sgd/1"],
            lambda seen: seen["slope"],
            between(-1.1, -0.9),
            "slope of squared distance against batch size, both on logarithmic scales",
        ),
        Claim(
            "A network can be trained without gradients.",
            ["backprop-vs-sgd/2"],
            lambda seen: seen["evolution"][:, 0] - seen["evolution"][:, -1],
            above(0),
            f"what the training loss falls by in {GENERATIONS} generations of {CHILDREN}",
        ),
        Claim(
            "But more slowly than by gradient descent.",
            ["backprop-vs-sgd/2"],
            lambda seen: seen["evolution"][:, 1000 // CHILDREN] - seen.final("sgd", "loss"),
            above(0),
            "training loss after 1,000 passes over all rows, evolution minus gradient descent",
        ),
        Claim(
            "What an optimizer makes of the same gradients matters: Adam is further than plain gradient descent.",
            [],
            lambda seen: seen.final("sgd", "loss") - seen.final("adam", "loss"),
            above(0),
            "training loss after 1,000 epochs, gradient descent minus Adam",
            who="caviar",
        ),
    ),
    questions=(
        Choice(
            "What does back-propagation compute?",
            ("new weights", "the gradient of the loss", "the learning rate", "predictions"),
            (1,),
            "The optimizer uses the gradient to change the weights.",
        ),
        Winner(
            "Which optimizer has the lowest training loss in the end?",
            lambda seen, name: seen.final(name, "loss"),
            highest=False,
        ),
    ),
    figures=figures,
    learned="Back-propagation gives the gradient, an optimizer the step. With the 65 weights of this network a search "
    "without gradients got further than gradient descent in as many passes over the rows; whether that lasts for more "
    "weights was not tried.",
)
