"""Programs that this process has made before: a training of the same structure needs no other."""

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from threading import Lock

import jax
import keras

from caviar.population import program
from caviar.population.ahead import Ahead
from caviar.population.callbacks import Rule
from caviar.population.job import Job
from caviar.population.lift import LEARNING_RATE, numbers
from caviar.population.structure import CannotCompare, is_of_keras, structure
from caviar.population.template import Template


@dataclass(frozen=True, eq=False)
class Made:
    """What trainings of a structure share.

    Attributes:
        steps: Of one member, traced.
        machine: The program.
        draw: Draws first values (initial.py).
        bytes: Of the model's variables.
    """

    steps: program.Steps
    machine: program.Program
    draw: Ahead
    bytes: int


# Each holds what was compiled for it, and a model with room for all its variables.
_MOST, _MOST_BYTES = 32, 2**28
_made: OrderedDict[Hashable, Made] = OrderedDict()
_lock = Lock()


def key_of(job: Job, template: Template, passes: program.Passes, rules: Sequence[Rule]) -> Hashable | None:
    """What is equal for two trainings only if one program serves both; None if nobody can tell.

    That is so of models with parts of the user's own, which may do another thing for every number of rows, and read
    anything from anywhere. The names that Keras makes up are part of it, as logs bear them.
    """
    model = template.model
    if not is_of_keras(model):
        return None
    try:
        text = structure(template, job.sample())
    except CannotCompare:
        return None
    fixed = {key: value for key, value in numbers(model).items() if key not in {*job.numbers, LEARNING_RATE}}
    outputs = getattr(model, "output_names", ())
    names = (*(outputs if len(outputs) > 1 else ()), *(metric.name for metric in model.metrics))
    layers = tuple(layer.name for layer in model.layers) if job.probe else ()
    return (
        *(text, tuple(job.numbers), tuple(fixed.items()), names, layers, passes, tuple(rules)),
        *(
            job.narrow is None,
            job.rates is None,
            str(jax.tree.structure(job.sample())),
            repr(sorted(jax.config.values.items())),
        ),
        *(keras.config.epsilon(), keras.config.floatx(), keras.config.image_data_format()),
    )


def find(key: Hashable | None) -> Made | None:
    """What was made for such a training; None if nothing was."""
    with _lock:
        if key is None or key not in _made:
            return None
        _made.move_to_end(key)
        return _made[key]


def remember(key: Hashable | None, made: Made) -> None:
    """Keep what was made, instead of what was not asked for longest; not what is too large to be kept at all."""
    if key is None:
        return
    with _lock:
        _made[key] = made
        while len(_made) > _MOST or sum(one.bytes for one in _made.values()) > _MOST_BYTES:
            _made.popitem(last=False)
