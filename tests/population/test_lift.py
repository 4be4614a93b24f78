"""A lifted number trains each member as Keras trains it alone with that number; the values of a case differ in all."""

import math
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caviar.population import lift
from caviar.population.callbacks import rate_position
from caviar.population.lift import TABLE, Liftable, MemberNumber, Place, as_arrays, lifted, numbers, places
from caviar.population.template import global_seeds_restored, ready, variables

C, F, L, R = keras.constraints, keras.losses, keras.layers, keras.regularizers
O = keras.optimizers  # noqa: E741 - as the other four

TOLERANCE = 1e-5
EPOCHS, BATCH, ROWS = 3, 10, 20
QUICK = {"xla_backend_optimization_level": 0}  # compiling is most of the time here


# Whose number was asked, what (of any number), and what it answered.
Question = tuple[Liftable, Callable[[float], bool], bool]


@dataclass(frozen=True)
class Case:
    """A builder, the numbers of three recipes, and targets; the first recipe's model is the one that is traced."""

    build: Callable[..., keras.Model]
    recipes: tuple[dict[str, float], dict[str, float], dict[str, float]]
    targets: Any = 1
    policy: str = "float32"
    cheap_masks: bool = False


@dataclass(frozen=True)
class Outcome:
    """What training a case gave: flat arrays of the logs of all epochs and of the predictions at the end.

    Attributes:
        alone: Keras' own training of the second and third recipe.
        together: The same as members of a population that was traced with the first recipe's model.
        first: The first recipe as a member.
        varied: By key the first recipe with that one number of the second.
        lines: The class and attribute of each number that varies.
        questions: What Keras asked lifted numbers while it was traced.
        compiled: How many programs all this took.
    """

    alone: list[np.ndarray]
    together: list[np.ndarray]
    first: np.ndarray
    varied: dict[str, np.ndarray]
    lines: set[tuple[type, str]]
    questions: list[Question]
    compiled: int


def rows(targets: Any) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, 4)).astype(np.float32)
    score = x[:, :1] + x[:, 1:2]
    if targets == 1:
        return x, (score > 0).astype(np.float32)
    one_hot = np.eye(3, dtype=np.float32)[np.digitize(score[:, 0], [-0.5, 0.5])]
    by_name = {"number": score, "yes": (score > 0).astype(np.float32), "class": one_hot}
    return x, {name: by_name[name.split("_")[0]] for name in targets}


def built(case: Case, recipe: Mapping[str, float]) -> keras.Model:
    """One recipe's model with all its variables, always from the same seed."""
    before = keras.config.dtype_policy()
    with global_seeds_restored():
        keras.utils.set_random_seed(3)
        keras.config.set_dtype_policy(case.policy)
        try:
            model = case.build(**recipe)
        finally:
            keras.config.set_dtype_policy(before)
        ready(model, rows(case.targets))
    return model


def flat(tree: Any) -> np.ndarray:
    return np.concatenate([np.ravel(np.asarray(leaf, np.float32)) for leaf in jax.tree.leaves(tree)])


def training(model: keras.Model, targets: Any) -> Callable[..., Any]:
    """Keras' own steps over all epochs as one function of the first state."""
    x, y = rows(targets)
    batches = jax.tree.map(lambda a: jnp.reshape(a, (-1, BATCH, *a.shape[1:])), (x, y))

    def train(state):
        fresh = state[3]

        def step(state, batch):
            logs, state = model.train_step(state, batch)
            return state, logs

        def epoch(state, _):
            state, logs = jax.lax.scan(step, (*state[:3], fresh), batches)
            return state, {name: values[-1] for name, values in logs.items()}

        state, logs = jax.lax.scan(epoch, tuple(state), None, length=EPOCHS)
        state = finished(model, state)
        return logs, model.predict_step((state[0], state[1]), (x,))[0]

    return train


def start_of(model: keras.Model) -> list[list[Any]]:
    return [[v.value for v in group] for group in variables(model)]


@contextmanager
def masks(case: Case) -> Iterator[None]:
    """Cheap masks where asked for: compiling JAX' random bits for sixteen masks would take half a minute."""

    def cheap(seed, p, shape):
        return jnp.reshape(
            jnp.sin(jnp.arange(np.prod(shape)) * 12.9898 + seed.sum() % 997) * 43758.5453 % 1 < p, shape
        )

    with pytest.MonkeyPatch.context() as patch:
        if case.cheap_masks:
            patch.setattr(jax.random, "bernoulli", cheap)
        yield


def alone(case: Case, model: keras.Model) -> np.ndarray:
    """What Keras makes of one recipe with its numbers as Python floats, compiled for it."""
    with masks(case):
        return flat(jax.jit(training(model, case.targets), compiler_options=QUICK)(start_of(model)))


def population(case: Case, model: keras.Model) -> Callable[..., Any]:
    """A program that trains many members from the same start, each with its own numbers."""
    rate_at = rate_position(model)
    start = start_of(model)

    def one(pairs):
        state = [list(group) for group in start]
        state[2][rate_at] = pairs[lift.LEARNING_RATE][0]
        with lifted(model, pairs), masks(case):
            return training(model, case.targets)(state)

    return jax.jit(jax.vmap(one), compiler_options=QUICK)


def finished(model, state):
    """What `fit` does at its end where weights are averaged."""
    reference = model.trainable_variables
    mapping = [*zip(reference, state[0], strict=True), *zip(model.optimizer.variables, state[2], strict=True)]
    with keras.StatelessScope(state_mapping=mapping) as scope:
        model.optimizer.finalize_variable_values(reference)
    return [scope.get_current_value(v) for v in reference], *state[1:]


@contextmanager
def questions_noted() -> Iterator[list[Question]]:
    """Comparisons of lifted numbers with constants, as questions that can be put to other numbers."""
    noted: list[Question] = []
    standing: dict[int, tuple[Liftable, MemberNumber]] = {}
    replaced = Place.replaced

    def noting(name: str) -> Callable[..., Any]:
        own = getattr(MemberNumber, name)

        def ask(number, *constant):
            answer = own(number, *constant)
            if isinstance(answer, bool):
                put = (lambda x: getattr(float(x), name)(*map(float, constant))) if constant else bool
                noted.append((standing[id(number)][0], put, answer))
            return answer

        return ask

    def noting_who(place, number):
        standing[id(number)] = place.entry, number
        return replaced(place, number)

    with pytest.MonkeyPatch.context() as patch:
        for name in ("__bool__", "__lt__", "__le__", "__gt__", "__ge__", "__eq__", "__ne__"):
            patch.setattr(MemberNumber, name, noting(name))
        patch.setattr(Place, "replaced", noting_who)
        yield noted


@cache
def outcome(name: str) -> Outcome:
    """Train a case: its recipes, and for each number the first recipe with that number of the second."""
    case = CASES[name]
    models = [built(case, recipe) for recipe in case.recipes]
    program = population(case, models[0])
    first, second, third = (numbers(model) for model in models)
    varying = [key for key in first if first[key] != second[key]]
    one_changed = [{**first, key: second[key]} for key in varying]
    with questions_noted() as questions:
        trained = program(columns([first, second, third, *one_changed]))
    program(columns([*one_changed, third, second, first]))
    members = [flat(jax.tree.map(lambda a: a[i], trained)) for i in range(3 + len(varying))]  # noqa: B023
    found = places(models[0])
    return Outcome(
        alone=[alone(case, model) for model in models[1:]],
        together=members[1:3],
        first=members[0],
        varied=dict(zip(varying, members[3:], strict=True)),
        lines={(type(found[key].owner), found[key].entry.attribute) for key in varying},
        questions=questions,
        compiled=program._cache_size(),
    )


def layered(**n):
    """Every layer, regularizer and constraint of the table; one dense layer between what would cancel."""
    inputs = keras.Input((4,))
    h = L.Dense(
        6,
        kernel_regularizer=R.L1L2(n["both_1"], n["both_2"]),
        bias_regularizer=R.L1(n["l1"]),
        kernel_constraint=C.MaxNorm(n["max_norm"]),
    )(inputs)
    h = L.LeakyReLU(n["leaky"])(L.GaussianNoise(n["noise"])(h))
    h = L.Dense(
        6,
        kernel_regularizer=R.L2(n["l2"]),
        kernel_constraint=C.MinMaxNorm(n["low"], n["high"], n["pull"]),
        activity_regularizer=R.L2(n["activity"]),
    )(h)
    h = L.ELU(n["elu"])(L.BatchNormalization(momentum=n["bn_momentum"], epsilon=n["bn_epsilon"])(h))
    h = L.AlphaDropout(n["alpha_dropout"])(h)
    h = L.Dense(6, kernel_regularizer=R.OrthogonalRegularizer(n["orthogonal"]))(h)
    h = L.ReLU(negative_slope=n["relu"])(L.LayerNormalization(epsilon=n["ln_epsilon"])(h))
    h = L.ActivityRegularization(n["act_1"], n["act_2"])(L.Dropout(n["dropout"])(h))
    h = L.GroupNormalization(2, epsilon=n["gn_epsilon"])(L.GaussianDropout(n["gaussian"])(h))
    h = L.RMSNormalization(epsilon=n["rms_epsilon"])(L.Dense(6)(h))
    h = L.Flatten()(L.SpatialDropout1D(n["spatial"])(L.Reshape((3, 2))(h)))
    outputs = L.Dense(1)(h)
    model = keras.Model(inputs, outputs)
    model.compile(O.SGD(n["rate"]), "mse")
    return model


LAYERED = {
    "both_1": (0.01, 0.05, 0.1),
    "both_2": (0.1, 0.02, 0.05),
    "l1": (0.0, 0.5, 0.1),
    "max_norm": (1.5, 0.5, 1),
    "leaky": (0.0, 0.3, 0.1),
    "noise": (0.1, 0.4, 0.2),
    "l2": (0.0, 0.1, 0.05),
    "low": (0.0, 0.9, 0.5),
    "high": (0.9, 0.6, 0.7),
    "pull": (1.0, 0.0, 0.2),
    "activity": (0.0, 0.1, 0.01),
    "elu": (0.0, 1.0, 0.5),
    "bn_momentum": (0.99, 0.5, 0.0),
    "bn_epsilon": (1e-3, 0.3, 0.1),
    "alpha_dropout": (0.1, 0.3, 0.5),
    "orthogonal": (0.0, 0.1, 0.05),
    "relu": (0.1, 0.5, 0.3),
    "ln_epsilon": (1e-3, 0.5, 0.1),
    "act_1": (0.01, 0.1, 0.02),
    "act_2": (0.01, 0.1, 0.02),
    "dropout": (0.2, 0.4, 0.6),
    "gaussian": (0.1, 0.3, 0.5),
    "gn_epsilon": (1e-3, 0.5, 0.1),
    "rms_epsilon": (1e-6, 0.5, 0.1),
    "spatial": (0.1, 0.3, 0.5),
    "rate": (0.02, 0.05, 0.01),
}


def recurrent(**n):
    """Cells and attention; only the last layer learns, for gradients of cells take long to compile."""
    inputs = keras.Input((4,))
    steps = L.Reshape((2, 2))(inputs)
    parts = [
        layer(
            2,
            dropout=n[name],
            recurrent_dropout=n[f"{name}_recurrent"],
            kernel_initializer="ones",
            recurrent_initializer="ones",
            unroll=True,
            trainable=False,
        )(steps)
        for name, layer in (("lstm", L.LSTM), ("gru", L.GRU), ("simple", L.SimpleRNN))
    ]
    attended = L.MultiHeadAttention(1, 2, dropout=n["attention"], trainable=False)(steps, steps)
    model = keras.Model(inputs, L.Dense(1)(L.Concatenate()([*parts, L.Flatten()(attended)])))
    model.compile(O.SGD(n["rate"]), "mse")
    return model


RECURRENT = {
    **dict.fromkeys(("lstm", "gru", "simple", "attention"), (0.2, 0.5, 0.3)),
    **{f"{name}_recurrent": (0.5, 0.2, 0.3) for name in ("lstm", "gru", "simple")},
    "rate": (0.1, 0.2, 0.05),
}


def lossy(**n):
    """Every loss of the table, each on an output of its own and with a weight of its own."""
    inputs = keras.Input((4,))
    outputs = {
        "number": L.Dense(1, name="number")(inputs),
        **{f"yes_{i}": L.Dense(1, "sigmoid", name=f"yes_{i}")(inputs) for i in (1, 2, 3)},
        **{f"class_{i}": L.Dense(3, "softmax", name=f"class_{i}")(inputs) for i in (1, 2)},
    }
    model = keras.Model(inputs, outputs)
    model.compile(
        O.SGD(n["rate"]),
        loss={
            "number": F.Huber(n["delta"]),
            "yes_1": F.BinaryCrossentropy(label_smoothing=n["smooth_1"]),
            "yes_2": F.BinaryFocalCrossentropy(
                apply_class_balancing=True,
                alpha=n["alpha_1"],
                gamma=n["gamma_1"],
                label_smoothing=n["smooth_2"],
            ),
            "yes_3": F.Tversky(n["tversky_alpha"], n["tversky_beta"]),
            "class_1": F.CategoricalCrossentropy(label_smoothing=n["smooth_3"]),
            "class_2": F.CategoricalFocalCrossentropy(
                n["alpha_2"], n["gamma_2"], label_smoothing=n["smooth_4"]
            ),
        },
        loss_weights={name: n[f"weight_{name}"] for name in outputs},
    )
    return model


LOSSY = {
    "delta": (0.3, 1.0, 0.1),
    "smooth_1": (0.1, 0.2, 0.05),
    "smooth_2": (0.1, 0.2, 0.05),
    "smooth_3": (0.1, 0.2, 0.05),
    "smooth_4": (0.1, 0.2, 0.05),
    "alpha_1": (0.0, 0.3, 0.8),
    "gamma_1": (0.0, 2.0, 1),
    "alpha_2": (0.25, 0.5, 1.0),
    "gamma_2": (0.0, 2.0, 3),
    "tversky_alpha": (0.0, 0.5, 0.9),
    "tversky_beta": (0.3, 0.0, 0.7),
    **{f"weight_{name}": (1.0, 0.0, 2) for name in ("number", "yes_1", "yes_2", "class_2")},
    **{f"weight_{name}": (0.0, 1.0, 3.0) for name in ("yes_3", "class_1")},
    "rate": (0.5, 0.3, 0.2),
}


def optimized(optimizer):
    """A small model whose optimizer takes its numbers by their names."""

    def build(**n):
        model = keras.Sequential([keras.Input((4,)), L.Dense(1)])
        model.compile(optimizer(**n), "mse")
        return model

    return build


def optimizing(optimizer: type, use_ema: bool = False, **values: tuple[float, float, float]) -> Case:
    """A small model under one optimizer that takes its numbers by their names."""

    def build(**n):
        model = keras.Sequential([keras.Input((4,)), L.Dense(1, use_bias=False)])
        model.compile(optimizer(use_ema=use_ema, **n), "mse")
        return model

    return Case(build, table_of({"learning_rate": (0.1, 0.2, 0.05)} | values))


class Own(keras.Model):
    """A model of the user's own around parts of Keras."""

    def __init__(self, rate, slope):
        super().__init__()
        self.first, self.last = L.Dense(4, kernel_regularizer="l2"), L.Dense(1)
        self.dropout, self.bend = L.Dropout(rate), L.LeakyReLU(slope)

    def call(self, x, training=False):
        return self.last(self.dropout(self.bend(self.first(x)), training=training))


def owned(**n):
    model = Own(n["rate"], n["slope"])
    model.compile(
        O.SGD(n["learning_rate"]), lambda y, said: keras.ops.mean(keras.ops.abs(y - said) ** 1.5, axis=-1)
    )
    return model


def half_precise(**n):
    """Layers compute in half precision, everything else in single precision."""
    dense = L.Dense(1, kernel_regularizer=R.L2(n["l2"]), kernel_constraint=C.MaxNorm(n["norm"]))
    model = keras.Sequential([keras.Input((4,)), dense])
    model.compile(O.SGD(n["rate"], n["momentum"], clipnorm=n["clip"]), F.Huber(n["delta"]))
    return model


def table_of(values: Mapping[str, tuple[float, float, float]]) -> tuple[dict[str, float], ...]:
    """Three recipes from the three values of each number."""
    return tuple({name: three[i] for name, three in values.items()} for i in range(3))


ADAM = {"beta_1": (0.9, 0.5, 0.0), "beta_2": (0.999, 0.9, 0.99), "epsilon": (1e-7, 0.1, 1e-3)}
RHO = {"rho": (0.9, 0.5, 0.0), "epsilon": (1e-7, 0.1, 1e-3)}
CLIP, DECAY = (0.5, 0.1, 1), (0.0, 0.5, 0.1)
HALF_PRECISE = {
    "rate": (0.1, 0.2, 0.05),
    "momentum": (0.9, 0.5, 0.1),
    "clip": CLIP,
    "l2": (0.0, 0.1, 0.05),
    "norm": (1.0, 0.5, 0.7),
    "delta": (0.3, 1.0, 0.1),
}
CASES = {
    "layers": Case(layered, table_of(LAYERED)),
    "recurrent": Case(recurrent, table_of(RECURRENT), cheap_masks=True),
    "losses": Case(
        lossy, table_of(LOSSY), targets=("number", "yes_1", "yes_2", "yes_3", "class_1", "class_2")
    ),
    "SGD": optimizing(O.SGD, momentum=(0.9, 0.5, 0.1), clipnorm=CLIP),
    "averaged SGD": optimizing(O.SGD, use_ema=True, ema_momentum=(0.0, 0.9, 0.5), global_clipnorm=CLIP),
    "RMSprop": optimizing(O.RMSprop, momentum=(0.9, 0.5, 0.1), weight_decay=DECAY, **RHO),
    "Adadelta": optimizing(O.Adadelta, **RHO),
    "Adagrad": optimizing(O.Adagrad, epsilon=(1e-7, 0.5, 1e-3), clipvalue=CLIP),
    "Adam": optimizing(O.Adam, **ADAM),
    "Adamax": optimizing(O.Adamax, **ADAM),
    "Nadam": optimizing(O.Nadam, **ADAM),
    "Lamb": optimizing(O.Lamb, **ADAM),
    "Lion": optimizing(
        O.Lion, learning_rate=(0.5, 0.2, 0.1), beta_1=(0.9, 0.5, 0.1), beta_2=(0.99, 0.5, 0.0)
    ),
    "Muon": optimizing(O.Muon, weight_decay=DECAY),
    "own model": Case(
        owned,
        table_of({"rate": (0.5, 0.2, 0.3), "slope": (0.0, 0.3, 0.1), "learning_rate": (0.1, 0.2, 0.05)}),
    ),
    "mixed_bfloat16": Case(half_precise, table_of(HALF_PRECISE), policy="mixed_bfloat16"),
    "mixed_float16": Case(half_precise, table_of(HALF_PRECISE), policy="mixed_float16"),
}


def columns(members):
    """Numbers of several members, as a program takes them."""
    return as_arrays({key: [member[key] for member in members] for key in members[0]})


@pytest.mark.thorough
@pytest.mark.parametrize("name", CASES)
def test_each_member_trains_as_keras_trains_it_alone_with_its_numbers(name, subtests):
    """All numbers of the second and third recipe differ from those of the model that is traced."""
    found = outcome(name)
    for alone, together in zip(found.alone, found.together, strict=True):
        np.testing.assert_allclose(together, alone, atol=TOLERANCE, rtol=TOLERANCE)
    for key, changed in found.varied.items():
        with subtests.test(key):
            assert abs(changed - found.first).max() > 100 * TOLERANCE, "the test would not notice this number"


@pytest.mark.thorough
@pytest.mark.parametrize("name", CASES)
def test_all_numbers_share_one_program(name):
    """Other numbers in another order take the program that is there."""
    assert outcome(name).compiled == 1


VALUES = (-2.0, -0.5, 0.0, 1e-9, 0.1, 0.5, 0.9, 1.0, 2.0, 6.0, 100.0)


@pytest.mark.parametrize("name", CASES)
def test_whatever_keras_asks_of_a_number_has_one_answer_for_all_that_are_lifted(name):
    """So the traced model may answer for all members; what has another answer is structure."""
    for entry, put, answer in outcome(name).questions:
        others = [value for value in VALUES if entry.lifts(value)]
        assert [put(value) for value in others] == [answer] * len(others), entry


def test_keras_does_ask():
    """Else the test before this one would look at nothing."""
    assert {entry.attribute for entry, _, _ in outcome("layers").questions} >= {
        "rate",
        "stddev",
        "negative_slope",
        "l1",
    }


# Where the optimizers read what all of them have.
READ_BY = {
    "learning_rate": "_get_current_learning_rate",
    "weight_decay": "_apply_weight_decay",
    "clipnorm": "_clip_gradients",
    "global_clipnorm": "_clip_gradients",
    "clipvalue": "_clip_gradients",
    "ema_momentum": "_update_model_variables_moving_average",
}


def reader(owner: type, attribute: str) -> Any:
    """The code of a class that reads a number, which it may share with another class."""
    if issubclass(owner, O.Optimizer):
        return getattr(owner, READ_BY.get(attribute, "update_step"))
    return owner.call if issubclass(owner, L.Layer) else owner


@pytest.mark.parametrize(
    ("owner", "attribute"), [(owner, entry.attribute) for entry in TABLE for owner in entry.owners]
)
def test_every_line_of_the_table_is_tried(owner, attribute):
    """By a case above, with this class or with one that reads the number by the very same code."""
    tried = {(reader(*line), line[1]) for name in CASES for line in outcome(name).lines}
    assert (reader(owner, attribute), attribute) in tried


def compiled(
    *layers: keras.layers.Layer, optimizer: Any = "sgd", loss: Any = "mse", **options: Any
) -> keras.Model:
    """A built model of some layers; what comes first is `layers[1]`, after the input layer."""
    model = keras.Sequential([keras.Input((4,)), *layers, L.Dense(3)])
    model.compile(optimizer, loss, **options)
    ready(model, (np.zeros((2, 4), np.float32), np.zeros((2, 3), np.float32)))
    return model


OFF = {
    "dropout 0": lambda: compiled(L.Dropout(0.0)),
    "dropout 1": lambda: compiled(L.Dropout(1.0)),
    "Gaussian dropout 0": lambda: compiled(L.GaussianDropout(0.0)),
    "alpha dropout 0": lambda: compiled(L.AlphaDropout(0.0)),
    "noise 0": lambda: compiled(L.GaussianNoise(0.0)),
    "a slope of 0": lambda: compiled(L.ReLU()),
    "L1 and L2 of 0": lambda: compiled(L.Dense(2, kernel_regularizer=R.L1L2())),
    "no regularizer": lambda: compiled(L.Dense(2)),
    "momentum 0": lambda: compiled(optimizer=O.SGD(momentum=0.0)),
    "no clipping": lambda: compiled(optimizer=O.SGD(clipnorm=None)),
    "clipping at 0": lambda: compiled(optimizer=O.SGD(clipnorm=0.0, weight_decay=None)),
    "no smoothing": lambda: compiled(loss=F.BinaryCrossentropy(label_smoothing=0.0)),
    "no loss weight": lambda: compiled(loss_weights=None),
    "a function that needs no number": lambda: compiled(loss="huber"),
}


@pytest.mark.parametrize("name", OFF)
def test_a_number_that_leaves_its_operation_out_is_structure(name):
    """It has no key, so it cannot be lifted: members with and without the operation do not share a program."""
    assert set(numbers(OFF[name]())) == {"optimizer.learning_rate", "optimizer.ema_momentum"}


def test_a_list_of_numbers_is_structure():
    found = numbers(compiled(loss=F.CategoricalFocalCrossentropy(alpha=[0.2, 0.3, 0.5], gamma=2)))
    assert found["losses[0].gamma"] == 2
    assert "losses[0].alpha" not in found


def test_a_schedule_leaves_no_learning_rate_to_lift():
    model = compiled(optimizer=O.SGD(O.schedules.ExponentialDecay(0.1, 10, 0.5)))
    assert lift.LEARNING_RATE not in numbers(model)


def test_a_class_of_the_users_own_is_structure_even_if_it_extends_one_of_keras():
    class Mine(L.Dropout):
        pass

    assert "layers[1].rate" in numbers(compiled(L.Dropout(0.5)))
    assert "layers[1].rate" not in numbers(compiled(Mine(0.5)))


def test_the_learning_rate_is_lifted_under_any_optimizer():
    """It lives in the state of a member; how the optimizer reads it does not matter."""

    class Mine(O.SGD):
        pass

    assert numbers(compiled(optimizer=Mine(0.5, momentum=0.9))) == {lift.LEARNING_RATE: 0.5}


def test_an_object_in_two_places_has_one_number():
    shared = R.L2(0.1)
    once = numbers(compiled(L.Dense(2, kernel_regularizer=shared, bias_regularizer=shared)))
    twice = numbers(compiled(L.Dense(2, kernel_regularizer=R.L2(0.1), bias_regularizer=R.L2(0.1))))
    assert len(twice) - len(once) == 1


def test_layers_that_compute_in_half_precision_are_structure():
    """Keras rounds a Python float to the type of what it meets; only in single precision is that the same."""
    layers = [L.Dropout(0.5, dtype="mixed_bfloat16"), L.LeakyReLU(0.1, dtype="float32")]
    assert [key for key in numbers(compiled(*layers)) if key.startswith("layers")] == [
        "layers[2].negative_slope"
    ]


def everything(model: keras.Model) -> list[dict[str, Any]]:
    """All attributes in which a number may stand, and the arguments of the loss."""
    kept = [place.holder for place in places(model).values()]
    return [dict(holder) if isinstance(holder, dict) else {"losses": list(holder)} for holder in kept]


def test_a_model_is_as_before_after_tracing_and_after_an_error():
    model = compiled(
        L.Dense(2, kernel_regularizer=R.L1(0.1), kernel_constraint=C.MaxNorm(2)),
        L.GaussianDropout(0.5),
        loss=F.Huber(0.5),
        loss_weights=2.0,
        optimizer=O.Adam(clipnorm=1),
    )
    before, values = everything(model), columns([numbers(model)])
    with lifted(model, {key: value[0] for key, value in values.items()}):
        assert isinstance(model.layers[1].rate, MemberNumber)
        assert everything(model) != before
    assert everything(model) == before
    with pytest.raises(RuntimeError, match="in the middle"), lifted(model, {"layers[2].rate": jnp.ones(2)}):
        raise RuntimeError("in the middle")
    assert everything(model) == before


def test_numbers_that_are_left_out_stay_what_they_are():
    model = compiled(L.Dropout(0.5), L.Dropout(0.25))
    with lifted(model, {"layers[1].rate": jnp.ones(2)}):
        assert isinstance(model.layers[0].rate, MemberNumber)
        assert model.layers[1].rate == 0.25


def test_another_thread_waits_until_a_model_is_traced():
    """It would find a member's number where it looks for one of the model."""
    model, entered = compiled(L.Dropout(0.5)), threading.Event()
    pair = {"layers[1].rate": jnp.ones(2)}

    def enter():
        assert "layers[1].rate" in numbers(model)
        with lifted(model, pair):
            entered.set()

    thread = threading.Thread(target=enter)
    with lifted(model, pair):
        thread.start()
        assert not entered.wait(0.05)
    thread.join()
    assert entered.is_set()


def test_a_key_that_the_model_does_not_have_is_refused():
    with pytest.raises(ValueError, match=r"layers\[1\]\.rate.*It has \['optimizer"):  # noqa: SIM117
        with lifted(compiled(L.Dropout(0.0)), {"layers[1].rate": jnp.ones(2)}):
            pass


def member_number(x: float) -> MemberNumber:
    value, complement = as_arrays({"x": [x]})["x"][0]
    return MemberNumber(jnp.float32(value), jnp.float32(complement), x)


@pytest.mark.parametrize(
    "use",
    [
        float,
        int,
        math.sqrt,
        hash,
        np.asarray,
        np.sqrt,
        lambda x: [0, 1][x],
        lambda x: np.ones(2) * math.exp(x),
    ],
)
def test_code_that_wants_a_python_number_raises(use):
    """It would take one member's number for all."""
    with pytest.raises(TypeError):
        use(member_number(0.5))


@settings(deadline=None)
@given(st.floats(-4, 4, width=32, allow_subnormal=False), st.floats(0.125, 8, width=32))
def test_arithmetic_is_that_of_the_value(x, other):
    number, value = member_number(x), np.float32(x)
    for ours, theirs in [
        (number + other, value + other),
        (other + number, other + value),
        (number - other, value - other),
        (other - number, other - value),
        (number * other, value * other),
        (other * number, other * value),
        (number / other, value / other),
        (other / (number * number + 1), other / (value * value + 1)),
        (abs(number) ** other, abs(value) ** other),
        (other**number, other**value),
        (-number, -value),
        (number * number, value * value),
    ]:
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@settings(deadline=None)
@given(st.floats(0, 1))
def test_one_minus_a_number_is_taken_in_double_precision(x):
    """As Keras takes it; the difference of rounded numbers would be off by 1e-4 of itself near one."""
    number = member_number(x)
    assert float(1 - number) == float(1.0 - number) == np.float32(1 - x)
    assert float(number - 1) == -np.float32(1 - x)


def test_a_comparison_with_an_array_is_arithmetic():
    """Only constants are answered by the model that is traced."""
    number = MemberNumber(jnp.float32(-1), jnp.float32(2), representative=0.5)
    assert not number > jnp.zeros(())
    assert not jnp.zeros(()) < number
    assert (number > 0) is True
