"""Is the model put together as its target and its loss need it? Read off before anything trains."""

from itertools import pairwise

import numpy as np
from scipy import stats

from caviar.diagnose.contract import Check, Clear, Found, NotApplicable, Outcome
from caviar.diagnose.evidence import Evidence
from caviar.diagnose.facts import DataFacts, LayerFacts, ModelFacts

_NO_MODEL = NotApplicable("the model was not looked into")
_BOUNDED = ("sigmoid", "hard_sigmoid", "tanh", "softsign")
_LOSES_ALL = ("exponential", "softmax", "log_softmax", "threshold")
_PER_ROW = ("crossentropy", "meansquared", "meanabsolute", "logcosh", "huber", "poisson", "hinge")


def last_activation(evidence: Evidence) -> Outcome:
    """The outputs cannot be what the target and the loss take them for."""
    if evidence.model is None or evidence.data is None:
        return _NO_MODEL
    model, data = evidence.model, evidence.data
    if not model.last_activation:
        return NotApplicable("the model's own code decides what its outputs are")
    why = _wrong_for_classes(model, data) if data.n_classes else _wrong_for_values(model, data)
    numbers = {"outputs": float(model.outputs)}
    if why:
        return Found(why, 0.9, None, numbers)
    return Clear(f"The last activation ({model.last_activation}) suits the target and the loss.", numbers)


def _wrong_for_classes(model: ModelFacts, data: DataFacts) -> str:
    last, entropy = model.last_activation, model.is_loss("crossentropy")
    if last == "softmax" and model.outputs == 1:
        return "A softmax over one output is always 1; take a sigmoid, or one output per class."
    if entropy and model.from_logits and last in {"sigmoid", "softmax"}:
        return f"The loss has from_logits=True, but the outputs already pass through {last}: it is applied twice."
    if entropy and not model.from_logits and last not in {"sigmoid", "softmax", "hard_sigmoid"}:
        return (
            f"The loss takes the outputs for probabilities, but the last activation is {last}; "
            f"take softmax or sigmoid, or from_logits=True."
        )
    if model.is_loss("categorical") and last == "sigmoid" and data.n_classes > 2:
        return (
            f"{data.n_classes} classes exclude each other, but a sigmoid gives each its own probability, which need "
            f"not add up to 1; take softmax."
        )
    if model.is_loss("hinge") and last in {"sigmoid", "softmax", "relu"}:
        return f"A hinge loss takes scores below and above zero, but the last activation is {last}."
    return ""


def _wrong_for_values(model: ModelFacts, data: DataFacts, *, slack: float = 0.01) -> str:
    low, high = model.bounds
    if model.last_activation == "softmax":
        return "A softmax gives shares that add up to 1 in every row, whatever the target is; take no activation."
    room = slack * max(data.target_high - data.target_low, 1e-12)
    if data.target_low < low - room or data.target_high > high + room:
        return (
            f"The target runs from {data.target_low:.4g} to {data.target_high:.4g}, but the last activation "
            f"({model.last_activation}) gives {low:g} to {high:g} only."
        )
    return ""


def loss_function(evidence: Evidence) -> Outcome:
    """The loss is one for another kind of target."""
    if evidence.model is None or evidence.data is None:
        return _NO_MODEL
    model, data = evidence.model, evidence.data
    entropy = model.is_loss("crossentropy")
    why = ""
    if not data.n_classes and entropy:
        why = "The target is a quantity, but the loss is a cross-entropy, which is for classes."
    elif not data.n_classes and model.is_loss("hinge"):
        why = "The target is a quantity, but the loss is a hinge loss, which is for classes."
    elif data.n_classes and model.is_loss("meansquared", "meanabsolute", "huber", "logcosh"):
        why = "The target is a class, but the loss is one for quantities; take a cross-entropy."
    elif data.n_classes > 2 and model.is_loss("binary") and model.outputs == 1:
        why = f"The target has {data.n_classes} classes, but the loss is for two."
    elif data.n_classes and model.is_loss("categorical") and model.outputs == 1:
        why = "A categorical cross-entropy over one output is always 0; take the binary one, or one output per class."
    if why:
        return Found(why, 0.7, None, {})
    return Clear(f"The loss ({model.loss.split()[0]}) is one for this kind of target.", {})


def output_shape(evidence: Evidence) -> Outcome:
    """The model gives another number of outputs than the target has."""
    if evidence.model is None or evidence.data is None:
        return _NO_MODEL
    model, data = evidence.model, evidence.data
    numbers = {"outputs": float(model.outputs)}
    if data.n_classes:
        fits = model.outputs == data.n_classes or (model.outputs == 1 and data.n_classes == 2)
        needs = "1 or 2" if data.n_classes == 2 else str(data.n_classes)
        what = f"{data.n_classes} classes"
    else:
        fits, needs = model.outputs == data.n_outputs, str(data.n_outputs)
        what = f"{data.n_outputs} target column{'s' if data.n_outputs > 1 else ''}"
    if fits:
        return Clear(f"{model.outputs} outputs suit {what}.", numbers)
    return Found(
        f"The model gives {model.outputs} numbers per row, but {what} need {needs}.", 1.0, None, numbers
    )


def target_encoding(evidence: Evidence) -> Outcome:
    """The target is written down in another way than the loss reads it, or says nothing."""
    if evidence.model is None or evidence.data is None:
        return _NO_MODEL
    model, data = evidence.model, evidence.data
    why = ""
    if max(data.class_shares, default=0.0) == 1 or (not data.n_classes and data.target_deviation == 0):
        why = "All rows have the same target: there is nothing to learn."
    elif data.given and data.target_kind == "codes" and model.outputs == data.n_classes:
        if not model.is_loss("sparse"):
            why = (
                "The target holds class numbers, but the loss compares the outputs with one column per class; take "
                "sparse_categorical_crossentropy, or keras.utils.to_categorical(y)."
            )
    elif data.given and data.target_kind == "one-hot" and (model.is_loss("sparse") or model.outputs == 1):
        why = (
            "The target has one column per class, but the loss reads class numbers; take y.argmax(axis=1), or "
            "categorical_crossentropy."
        )
    if why:
        return Found(why, 1.0, None, {})
    return Clear("The target is written as the loss reads it.", {})


def mixes_rows(evidence: Evidence, *, tolerance: float = 0.01) -> Outcome:
    """The loss of several rows is not the mean of their losses: shapes were broadcast, or sums taken.

    Args:
        evidence: What is known.
        tolerance: Relative difference that rounding explains, with much to spare.
    """
    if evidence.model is None:
        return _NO_MODEL
    whole, single = evidence.model.loss_of_batch, evidence.model.loss_of_rows
    if evidence.model.is_loss(*_PER_ROW) and "function" not in evidence.model.loss:
        return Clear("The loss is one of Keras' own, a mean over rows.", {})
    if not np.isfinite([whole, single]).all():
        return NotApplicable("the loss could not be computed for single rows")
    numbers = {"loss of rows together": whole, "mean of single losses": single}
    if abs(whole - single) > tolerance * max(abs(single), 1e-9):
        return Found(
            f"The loss of 32 rows together is {whole:.4g}, the mean of their single losses {single:.4g}: it adds "
            f"rows up, or sets (n,) against (n, 1), so that each row meets the targets of all.",
            0.8,
            None,
            numbers,
        )
    return Clear("The loss of several rows is the mean of their losses.", numbers)


def no_hidden_activation(evidence: Evidence) -> Outcome:
    """Layers follow each other without an activation, so that they are one linear layer."""
    if evidence.model is None:
        return _NO_MODEL
    names, before = [], None
    for layer in evidence.model.layers:
        if layer.kind != "Dense" and layer.activation not in {"", "linear"}:
            before = None
        elif layer.kind == "Dense":
            if before is not None:
                names.append(before.name)
            before = layer if layer.activation == "linear" else None
    if names:
        return Found(
            f"No activation follows {_listed(names)}, so the next layer adds nothing that one linear layer could not "
            f"do.",
            0.6,
            None,
            {"layers": float(len(names))},
        )
    return Clear("Every hidden layer has an activation.", {})


def unusual_hidden_activation(evidence: Evidence, *, deep: int = 4) -> Outcome:
    """Hidden layers squash or blow up what passes through them.

    Args:
        evidence: What is known.
        deep: From so many bounded hidden layers on, gradients shrink by at least 4 to that power with sigmoids
            (whose slope is at most 1/4; Glorot & Bengio, 2010).
    """
    if evidence.model is None:
        return _NO_MODEL
    hidden = [layer for layer in evidence.model.kernels[:-1] if layer.activation]
    wild = [layer for layer in hidden if layer.activation in _LOSES_ALL]
    flat = [layer for layer in hidden if layer.activation in {"sigmoid", "hard_sigmoid"}]
    squashed = [layer for layer in hidden if layer.activation in _BOUNDED]
    numbers = {"hidden layers": float(len(hidden)), "bounded": float(len(squashed))}
    if wild:
        return Found(
            f"{_listed([layer.name for layer in wild])} use{'s' if len(wild) == 1 else ''} {wild[0].activation} as a "
            f"hidden activation; take relu, elu or tanh.",
            0.8,
            None,
            numbers,
        )
    if len(flat) >= deep:
        return Found(
            f"{len(flat)} sigmoid layers follow each other; each multiplies the gradient by at most 1/4.",
            0.7,
            None,
            numbers,
        )
    return Clear("The hidden activations are usual ones.", numbers)


def initial_weights(
    evidence: Evidence, *, small: float = 0.027, large: float = 2.0, chance: float = 1e-3
) -> Outcome:
    """First weights are all alike, or far from the size that keeps signals alive.

    Usual sizes (root mean squares) lie between 1 / sqrt(inputs or outputs, whichever are more), as orthogonal weights
    have, and sqrt(2 / inputs), as He's: Glorot's and LeCun's are between them, for every number of inputs and outputs.

    Args:
        evidence: What is known.
        small: Share of the smallest usual size below which hidden kernels are too small, all of them multiplied: what
            passes shrinks by that much in all, as it does where three of them have 0.3 of it each.
        large: Kernels of more than this multiple of He's size blow it up by that much. (Glorot & Bengio, 2010; He et
            al., 2015)
        chance: How often usual weights may be drawn as far off, or as far to one side, as a layer's: few numbers vary.
    """
    if evidence.model is None:
        return _NO_MODEL
    kernels = evidence.model.kernels
    # Units of a last layer may begin alike: what they are given differs from the second step on.
    alike = [layer for layer in kernels[:-1] if layer.deviation == 0 and np.prod(layer.fans) > 1]
    if alike:
        return Found(
            f"All first weights of {_listed([layer.name for layer in alike])} are {alike[0].mean:g}: its units learn "
            f"the same and stay one unit.",
            0.7,
            None,
            {"layers": float(len(alike))},
        )
    drawn = [layer for layer in kernels if layer.deviation > 0]
    highest, lowest = (
        [_size(layer) / _he(layer) for layer in drawn],
        [_size(layer) / _least(layer) for layer in drawn],
    )
    numbers = {
        "largest, times He's": max(highest, default=1.0),
        "smallest, times the smallest usual size": min(lowest, default=1.0),
    }
    off = [
        layer.name
        for layer, ratio in zip(drawn, highest, strict=True)
        if ratio > large and stats.chi2.sf(np.prod(layer.fans) * ratio**2, np.prod(layer.fans)) < chance
    ]
    weak = [
        (layer.name, ratio)
        for layer, ratio in zip(drawn, lowest, strict=True)
        if layer is not kernels[-1]
        and ratio < 1
        and stats.chi2.cdf(np.prod(layer.fans) * ratio**2, np.prod(layer.fans)) < chance
    ]
    shrunk = float(np.prod([ratio for _, ratio in weak]))
    shifted = [layer.name for layer in drawn if _is_shifted(layer, chance)]
    if shifted:
        return Found(
            f"First weights of {_listed(shifted)} do not lie around zero, so that units begin saturated or alike.",
            0.6,
            None,
            numbers,
        )
    if off or shrunk < small:
        told = f"{_listed(off)} are too large for its number of inputs (up to {max(highest):.2g} times He's)"
        if not off:
            told = (
                f"{_listed([name for name, _ in weak])} are too small for their numbers of inputs and outputs: what "
                f"passes shrinks to {shrunk:.2g} of what it would with the smallest usual ones"
            )
        return Found(f"First weights of {told}; take he_normal or glorot_uniform.", 0.6, None, numbers)
    return Clear("First weights have a usual size.", numbers)


def _size(layer: LayerFacts) -> float:
    """Root mean square of the first weights."""
    return float(np.hypot(layer.deviation, layer.mean))


def _he(layer: LayerFacts) -> float:
    """The largest usual size of first weights."""
    return float(np.sqrt(2 / layer.fans[0]))


def _least(layer: LayerFacts) -> float:
    """The smallest usual size of first weights."""
    return float(np.sqrt(1 / max(layer.fans)))


def _is_shifted(layer: LayerFacts, chance: float) -> bool:
    """Whether the mean of first weights exceeds their deviation, and what so few around zero show by chance."""
    free = int(np.prod(layer.fans)) - 1
    by_chance = stats.t.isf(chance / 2, free) / np.sqrt(free) if free else np.inf
    return bool(abs(layer.mean) > layer.deviation * max(1.0, by_chance))


_USUAL_RATES = {"SGD": (1e-4, 0.5), "Adadelta": (1e-2, 10.0), "Adagrad": (1e-3, 0.5), "Ftrl": (1e-4, 0.5)}


def negative_rate(evidence: Evidence) -> Outcome:
    """The learning rate is below zero: training climbs the loss."""
    rate = None if evidence.model is None else evidence.model.rate
    if rate is None:
        return NotApplicable("the learning rate is no number")
    if rate < 0:
        return Found(f"The learning rate is {rate:g}: training climbs the loss.", 1.0, None, {"rate": rate})
    return Clear(f"The learning rate, {rate:g}, is above zero.", {"rate": rate})


def large_rate(evidence: Evidence) -> Outcome:
    """The learning rate is above what the optimizer usually takes."""
    return _rate(evidence, above=True)


def small_rate(evidence: Evidence) -> Outcome:
    """The learning rate is below what the optimizer usually takes."""
    return _rate(evidence, above=False)


def _rate(evidence: Evidence, *, above: bool) -> Outcome:
    if evidence.model is None or evidence.model.rate is None:
        return NotApplicable("the learning rate is no number")
    low, high = _USUAL_RATES.get(evidence.model.optimizer, (3e-5, 2e-2))
    rate = evidence.model.rate
    numbers, sentence = (
        {"rate": rate},
        f"The learning rate is {rate:g}; {evidence.model.optimizer} usually takes ",
    )
    if (rate > high) if above else (0 <= rate < low):
        tested, more = evidence.tested_rates()
        return Found(f"{sentence}{low:g} to {high:g}.{tested}", 0.5, None, numbers | more)
    return Clear(f"{sentence}{low:g} to {high:g}.", numbers)


def dropout(evidence: Evidence) -> Outcome:
    """Units are dropped where that does harm: right before a batch normalization, or at the end.

    Dropout before batch normalization shifts its variance between training and inference (Li et al., 2019). How much is
    dropped is another question: S13.
    """
    if evidence.model is None:
        return _NO_MODEL
    layers = evidence.model.layers
    pairs = [a.name for a, b in pairwise(layers) if a.rate > 0 and b.kind == "BatchNormalization"]
    last = layers[-1].name if layers and layers[-1].rate > 0 else ""
    clauses = []
    if pairs:
        clauses.append(f"{_listed(pairs)} stands right before a batch normalization")
    if last:
        clauses.append(f"{last} drops outputs")
    if clauses:
        return Found(f"{'; '.join(clauses)}.", 0.4, None, {"largest rate": max(x.rate for x in layers)})
    return Clear("Dropout stands where it belongs, if there is any.", {})


def over_regularised(evidence: Evidence, *, most: float = 0.009, dropped: float = 0.5) -> Outcome:
    """Penalties on the weights are strong, or more than half of a layer's units are dropped.

    Args:
        evidence: What is known.
        most: Penalty factors up to 0.01 are usual; tutorials and Keras' own default take 0.01 or less.
        dropped: Larger dropout rates than this one are unusual (Srivastava et al., 2014).
    """
    if evidence.model is None:
        return _NO_MODEL
    layers = evidence.model.layers
    largest = max((layer.penalty for layer in layers), default=0.0)
    rate = max((layer.rate for layer in layers), default=0.0)
    clauses = [f"weights are penalised by {largest:g}"] * (largest > most)
    if rate > dropped:
        names = [layer.name for layer in layers if layer.rate > dropped]
        clauses.append(f"up to {rate:.0%} of the units are dropped ({_listed(names)})")
    numbers = {"largest factor": largest, "largest rate": rate}
    if clauses:
        sentence = "; ".join(clauses)
        return Found(f"{sentence[0].upper()}{sentence[1:]}.", 0.5, None, numbers)
    return Clear("Penalties on the weights and dropout are small, if there are any.", numbers)


def normalization_at_the_end(evidence: Evidence) -> Outcome:
    """The outputs are normalised, so that they cannot have the target's mean and spread for single rows."""
    if evidence.model is None:
        return _NO_MODEL
    kinds = [
        layer.kind
        for layer in evidence.model.layers
        if layer.kind not in {"Activation", "Flatten", "Reshape"}
    ]
    last = len(kinds) - 1 - kinds[::-1].index("Dense") if "Dense" in kinds else len(kinds)
    if "BatchNormalization" in kinds[last:]:
        return Found("A batch normalization stands behind the last layer.", 0.4, None, {})
    return Clear("No normalization stands behind the last layer.", {})


def batch_size(evidence: Evidence, *, fewest: int = 4, most: float = 0.5) -> Outcome:
    """Steps are taken on very few rows, or on nearly all of them.

    Args:
        evidence: What is known.
        fewest: Batches of fewer rows give steps that are mostly noise (Masters & Luschi, 2018: 2 to 32 suffice).
        most: Larger shares of the rows leave one or two steps per epoch.
    """
    if evidence.model is None:
        return _NO_MODEL
    size, rows = evidence.model.batch_size, evidence.model.rows
    numbers = {"batch size": float(size), "rows": float(rows)}
    if size < fewest:
        return Found(f"Each step sees {size} row{'s' if size > 1 else ''} only.", 0.5, None, numbers)
    if size > most * rows and rows >= 100:
        return Found(
            f"Each step sees {size:,} of {rows:,} rows: {-(-rows // size)} per epoch.", 0.3, None, numbers
        )
    return Clear(f"Each step sees {size} of {rows:,} rows.", numbers)


def metrics_lie(evidence: Evidence, *, share: float = 0.8) -> Outcome:
    """Accuracy says little where one class is most of the rows.

    Args:
        evidence: What is known.
        share: From this share of one class on, a constant is right that often.
    """
    if evidence.model is None or evidence.data is None:
        return _NO_MODEL
    accuracy = [name for name in evidence.model.metrics if "acc" in name.lower()]
    most = max(evidence.data.class_shares, default=0.0)
    if accuracy and not evidence.data.n_classes:
        return Found("Accuracy is measured, but the target is a quantity.", 0.1, None, {})
    if accuracy and most > share:
        return Found(
            f"Accuracy is measured, but {most:.0%} of the rows have one class.", 0.1, None, {"share": most}
        )
    return Clear("The metrics suit the target.", {})


def cancelled_bias(evidence: Evidence) -> Outcome:
    """A layer adds a bias that the batch normalization behind it takes off again (Ioffe & Szegedy, 2015, 3.2)."""
    if evidence.model is None:
        return _NO_MODEL
    names = [
        layer.name
        for layer, following in pairwise(evidence.model.layers)
        if following.kind == "BatchNormalization"
        and layer.has_kernel
        and layer.has_bias
        and layer.activation in {"", "linear"}
    ]
    if names:
        return Found(
            f"The bias of {_listed(names)} is taken off again by the batch normalization behind; use_bias=False saves "
            f"it.",
            0.01,
            None,
            {"layers": float(len(names))},
        )
    return Clear("No batch normalization cancels a bias.", {})


def _listed(names: list[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


STATIC = (
    Check(
        "S01",
        "The last activation does not suit the target",
        "learning",
        "last_activation",
        last_activation,
        why="Outputs that the loss cannot read as what they are give wrong gradients, or none.",
    ),
    Check(
        "S02",
        "The loss does not suit the target",
        "learning",
        "loss_function",
        loss_function,
        why="A loss for another kind of target rewards the wrong thing.",
    ),
    Check(
        "S03",
        "The number of outputs is wrong",
        "learning",
        "output_shape",
        output_shape,
        why="Outputs too many or too few are broadcast silently, or refused.",
    ),
    Check(
        "S04",
        "The target is encoded in another way",
        "learning",
        "target_encoding",
        target_encoding,
        why="The loss compares numbers that do not mean the same.",
    ),
    Check(
        "S05",
        "The loss mixes rows",
        "learning",
        "loss_reduction",
        mixes_rows,
        why="Each row is then pulled towards the targets of all rows, and the network learns their mean.",
    ),
    Check(
        "S06",
        "A hidden activation is missing",
        "learning",
        "missing_hidden_activation",
        no_hidden_activation,
        why="Layers without an activation between them are one linear layer, however many there are.",
    ),
    Check(
        "S07",
        "The hidden activation is unsuitable",
        "learning",
        "hidden_activation",
        unusual_hidden_activation,
        why="Activations that squash make gradients vanish with depth; those that grow fast make sums explode.",
    ),
    Check(
        "S08",
        "The first weights are unsuitable",
        "learning",
        "init",
        initial_weights,
        why="Units that begin alike stay alike; signals that begin too small or too large die or explode with depth.",
    ),
    Check(
        "S09",
        "The learning rate is negative",
        "learning",
        "learning_rate_negative",
        negative_rate,
        why="Every step then leads away from what is asked for.",
    ),
    Check(
        "S10",
        "The learning rate is unusually high",
        "learning",
        "learning_rate_high",
        large_rate,
        why="Steps that are too large jump over what they look for, and can kill units for good.",
    ),
    Check(
        "S11",
        "The learning rate is unusually low",
        "learning",
        "learning_rate_low",
        small_rate,
        why="Steps that are too small do not arrive within the epochs given.",
    ),
    Check(
        "S12",
        "Dropout is misplaced",
        "learning",
        "dropout_misuse",
        dropout,
        why="Inference then sees other numbers than training did.",
    ),
    Check(
        "S13",
        "The network is held back strongly",
        "learning",
        "over_regularised",
        over_regularised,
        why="A penalty then outweighs the loss, or too few units are left to learn with: the network stays too simple.",
    ),
    Check(
        "S14",
        "The outputs are normalised",
        "learning",
        "redundant_activation",
        normalization_at_the_end,
        why="Outputs of single rows then depend on the other rows of their batch.",
    ),
    Check(
        "S15",
        "The batch size is unusual",
        "learning",
        "batch_size",
        batch_size,
        why="Very small batches give noisy steps, very large ones few of them.",
    ),
    Check(
        "S16",
        "A metric says little here",
        "prediction",
        "metric_mismatch",
        metrics_lie,
        why="A constant answer then looks good.",
        by_hand="Compile with a metric that a constant answer does not make look good: AUC or `F1Score` for a "
        "rare class, `mean_absolute_error` for quantities. Training stays as it is.",
    ),
    Check(
        "S17",
        "A bias is cancelled",
        "learning",
        "redundant_bias",
        cancelled_bias,
        why="It does no harm: its gradient is rounding noise, and it is saved and moved for nothing.",
        by_hand="Pass `use_bias=False` to the layer before the normalization: fewer numbers are trained and "
        "saved, and no prediction changes.",
    ),
)
