"""Which settings of the table space describe a network that something else has built?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras

from caviar.recipe.table_space import INITIALIZERS, MOMENTUM, OPTIMIZERS

_SEEN = frozenset(
    {"learning rate", "batch size", "optimizer", "momentum", "clipping", "depth", "width", "first weights"}
    | {"hidden activation", "penalty", "regularization", "dropout", "noise", "embedding", "weight averaging"}
    | {"batch normalization", "layer normalization"}
)
"""Changes of a recipe that its network, optimizer or batch size show, whether the space has a word for them or not."""
_MORE = {
    "weight_decay": "weight decay",
    "use_ema": "weight averaging",
    "amsgrad": "amsgrad",
    "nesterov": "nesterov",
}
_MORE |= {"clipnorm": "clipping", "global_clipnorm": "clipping", "clipvalue": "clipping"}


@dataclass
class Said:
    """A network in the words of the table space.

    Attributes:
        settings: By name.
        unsaid: What it has besides, for which the space has no word.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    unsaid: list[str] = field(default_factory=list)


def table_settings(
    layers: Sequence[keras.layers.Layer],
    optimizer: Mapping[str, Any],
    batch_size: int,
    changes: Sequence[str] = (),
) -> Said:
    """What the table space would have to be set to, to come as near as it can to a network.

    Args:
        layers: The network's, in order; the last one with weights gives its outputs.
        optimizer: As Keras writes it down: `class_name` and `config`.
        batch_size: Rows per gradient step.
        changes: Names of what a recipe changed, beside its network too.

    >>> hidden = keras.layers.Dense(32, "relu", kernel_initializer="lecun_normal")
    >>> sgd = {"class_name": "SGD", "config": {"learning_rate": 0.01, "momentum": 0.5}}
    >>> said = table_settings([hidden, keras.layers.Dropout(0.3), keras.layers.Dense(1)], sgd, 32)
    >>> said.settings["depth"], said.settings["width"], said.settings["penalty"], said.unsaid
    (1, 32, 'dropout', ['momentum 0.5'])
    """
    said = Said({"batch_size": batch_size})
    _say_optimizer(said, optimizer)
    dense = [layer for layer in layers if isinstance(layer, keras.layers.Dense)]
    _say_hidden(said, dense[:-1])
    _say_penalty(said, dense[:-1], [one for one in layers if isinstance(one, keras.layers.Dropout)])
    plain = (keras.layers.Dense, keras.layers.Dropout, keras.layers.InputLayer)
    said.unsaid += [type(layer).__name__ for layer in layers if not isinstance(layer, plain)]
    said.unsaid += [name for name in changes if name not in _SEEN]
    said.unsaid = list(dict.fromkeys(said.unsaid))
    return said


def _say_optimizer(said: Said, optimizer: Mapping[str, Any]) -> None:
    name, config = str(optimizer.get("class_name", "")).lower(), optimizer.get("config") or {}
    rate = config.get("learning_rate")
    if isinstance(rate, (int, float)):
        said.settings["learning_rate"] = float(rate)
    else:
        said.unsaid.append("learning-rate schedule")
    if name in OPTIMIZERS:
        said.settings["optimizer"] = name
    else:
        said.unsaid.append(f"optimizer {optimizer.get('class_name')}")
    if name in {"sgd", "rmsprop"} and config.get("momentum") != (MOMENTUM if name == "sgd" else 0.0):
        said.unsaid.append(f"momentum {config.get('momentum')}")
    said.unsaid += [words for key, words in _MORE.items() if config.get(key)]


def _say_hidden(said: Said, hidden: Sequence[keras.layers.Dense]) -> None:
    if not hidden:
        said.unsaid.append("no hidden layer")
        return
    said.settings["depth"] = len(hidden)
    widths = {layer.units for layer in hidden}
    if len(widths) == 1:
        said.settings["width"] = widths.pop()
    else:
        said.unsaid.append("layers of different widths")
    firsts = {keras.initializers.serialize(layer.kernel_initializer)["class_name"] for layer in hidden}
    known = {name.replace("_", ""): name for name in INITIALIZERS}
    if len(firsts) == 1 and (first := firsts.pop().lower()) in known:
        said.settings["initializer"] = known[first]
    else:
        said.unsaid.append("first weights")
    others = {getattr(one.activation, "__name__", type(one.activation).__name__) for one in hidden} - {"relu"}
    said.unsaid += [f"activation {name}" for name in sorted(others)]


def _say_penalty(
    said: Said, hidden: Sequence[keras.layers.Dense], drops: Sequence[keras.layers.Dropout]
) -> None:
    """One penalty: the space knows no two at once."""
    strengths = {
        (kind, float(strength))
        for layer in hidden
        if layer.kernel_regularizer is not None
        for kind in ("l1", "l2")
        if (strength := layer.kernel_regularizer.get_config().get(kind))
    }
    rates = {float(layer.rate) for layer in drops if layer.rate}
    if len(rates) == 1:
        said.settings |= {"penalty": "dropout", "dropout": rates.pop()}
        said.unsaid += ["penalty on weights"] if strengths else []
    elif rates:
        said.unsaid.append("dropout of several rates")
    elif len(strengths) == 1:
        kind, strength = strengths.pop()
        said.settings |= {"penalty": kind, "penalty_strength": strength}
    elif strengths:
        said.unsaid.append("several penalties")
    else:
        said.settings["penalty"] = "none"
