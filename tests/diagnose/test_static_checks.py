"""Checks of model and data: each fires on what was planted, is silent on a sound model, and abstains without facts."""

from dataclasses import replace
from itertools import pairwise

import keras
import numpy as np
import pytest

from caviar.data.prepare import PreparationPlan
from caviar.diagnose.contract import Clear, Found, NotApplicable
from caviar.diagnose.data import DATA
from caviar.diagnose.facts import data_facts
from caviar.diagnose.inside import INSIDE
from caviar.diagnose.static import STATIC
from caviar.doctor.anatomy import model_facts
from caviar.estimate import Estimate
from caviar.recipe.recipe import Recipe
from tests.diagnose.test_diagnosis import MEMBERS, healthy

L = keras.layers
ROWS = 300
RNG = np.random.default_rng(0)
X = RNG.normal(size=(ROWS, 4))
CLASSES = {2: RNG.integers(0, 2, ROWS), 3: RNG.integers(0, 3, ROWS)}
CHECKS = {check.code: check for check in (*STATIC, *DATA, *INSIDE)}


def network(
    *hidden, last=1, activation=None, loss="mse", optimizer="adam", metrics=(), inputs=4, **dense
) -> keras.Model:
    """A compiled network; hidden layers are widths (ReLU) or layers."""
    layers = [L.Dense(h, "relu", **dense) if isinstance(h, int) else h for h in hidden]
    model = keras.Sequential([keras.Input((inputs,)), *layers, L.Dense(last, activation)])
    model.compile(optimizer, loss, metrics=list(metrics))
    return model


def evidence(build, *, x=X, y=None, classes=0, raw=None, kind="", given=False, batch=32):
    """What is known of a model on a table before anything trained; its first weights are always the same ones."""
    keras.utils.set_random_seed(3)
    target = y if y is not None else CLASSES[classes] if classes else x[:, :1]
    seen = target if raw is None else raw
    upright = seen if seen.ndim > 1 else seen[:, None]
    few = (x.astype(np.float32), upright.astype(np.float32 if upright.dtype.kind == "f" else np.int32))
    task = "regression" if not classes else "binary" if classes == 2 else "multiclass"
    recipe = Recipe("baseline", "Baseline", build, batch, 10, PreparationPlan())
    data = data_facts(x, target, task=task, n_classes=classes, raw=seen, kind=kind, given=given)
    return healthy(model=model_facts(recipe, build, few, len(x)), data=data)


SOUND = {
    "regression": evidence(lambda: network(16, 16)),
    "binary": evidence(lambda: network(16, activation="sigmoid", loss="binary_crossentropy"), classes=2),
    "multiclass": evidence(
        lambda: network(16, last=3, activation="softmax", loss="sparse_categorical_crossentropy"), classes=3
    ),
    "logits": evidence(
        lambda: network(16, last=1, loss=keras.losses.BinaryCrossentropy(from_logits=True)), classes=2
    ),
}


@pytest.mark.parametrize("name", SOUND)
@pytest.mark.parametrize("code", [check.code for check in (*STATIC, *DATA)])
def test_a_sound_model_raises_no_suspicion(code, name):
    assert not isinstance(CHECKS[code].look(SOUND[name]), Found), CHECKS[code].look(SOUND[name])


INITIALIZERS = {
    kind.__name__: kind
    for kind in vars(keras.initializers).values()
    if isinstance(kind, type) and issubclass(kind, keras.initializers.Initializer)
}
SCALED = sorted(
    name
    for name, kind in INITIALIZERS.items()
    if issubclass(kind, keras.initializers.VarianceScaling) or name == "Orthogonal"
)
"""Keras' initializers that look at how many inputs and outputs a layer has: usual ones, whatever these are."""
WIDTHS = ((1, 1, 1), (2, 2, 2), (5, 64, 1), (64, 5, 64), (500, 500, 500))


def first_weights(initializer: str, inputs: int, widths, seed: int):
    """What S08 says of chains of layers with such first weights."""
    draw = INITIALIZERS[initializer](seed=seed)
    layers = []
    for fans in pairwise((inputs, *widths, 1)):
        kernel = keras.ops.convert_to_numpy(draw(fans))
        layers.append(
            replace(
                SOUND["regression"].model.kernels[0],
                fans=fans,
                initializer=initializer,
                deviation=float(kernel.std()),
                mean=float(kernel.mean()),
            )
        )
    model = replace(SOUND["regression"].model, layers=tuple(layers))
    return CHECKS["S08"].look(replace(SOUND["regression"], model=model))


def test_the_initializers_that_look_at_fans_are_all_there():
    assert {"HeNormal", "HeUniform", "GlorotNormal", "GlorotUniform", "LecunNormal", "LecunUniform"} < set(
        SCALED
    )


@pytest.mark.parametrize("inputs", [1, 2, 3, 10, 100, 1000])
@pytest.mark.parametrize("initializer", SCALED)
def test_weights_that_a_scaled_initializer_draws_are_usual_for_any_numbers_of_inputs_and_units(
    initializer, inputs
):
    """Two inputs and 500 units make He's weights 16 times as large as Glorot's, and both are fine."""
    said = [first_weights(initializer, inputs, widths, seed) for widths in WIDTHS for seed in range(3)]
    assert [outcome.sentence for outcome in said if isinstance(outcome, Found)] == []


def test_few_weights_around_zero_may_lie_on_one_side_by_chance():
    """Of three numbers around zero the mean exceeds the deviation in a third of all draws."""
    said = [first_weights("GlorotUniform", 3, (), seed) for seed in range(50)]
    assert not any(isinstance(outcome, Found) for outcome in said)


@pytest.mark.parametrize("deviation", [1.0, 5.0])
def test_weights_far_larger_than_hes_are_found_at_every_width_where_they_are(deviation):
    """With a deviation of 1, sums of 64 inputs are 5.7 times as large as with He's weights; those of 2 are not."""
    told = {}
    for inputs in (2, 64):
        x = np.random.default_rng(0).normal(size=(ROWS, inputs))
        kernel = keras.initializers.RandomNormal(stddev=deviation)
        seen = evidence(lambda k=kernel, n=inputs: network(2, inputs=n, kernel_initializer=k), x=x)
        told[inputs] = isinstance(CHECKS["S08"].look(seen), Found)
    assert told == {2: deviation > 2, 64: True}


@pytest.mark.parametrize(("rate", "codes"), [(0.5, set()), (0.8, {"S13"})])
def test_dropping_most_units_holds_the_network_back_wherever_it_stands(rate, codes):
    """Too much of it regularises too much; dropout that stands in a wrong place is another fault."""
    seen = evidence(lambda: network(8, L.Dropout(rate), 8))
    assert {code for code in ("S12", "S13") if isinstance(CHECKS[code].look(seen), Found)} == codes
    assert CHECKS["S13"].fault == "over_regularised"


@pytest.mark.parametrize(
    ("size", "layers", "found"),
    [(1e-4, 1, True), (1e-4, 2, True), (0.05, 1, False), (0.05, 2, False), (0.05, 5, True)],
)
def test_small_weights_are_judged_by_what_all_layers_shrink_together(size, layers, found):
    """For 16 inputs, weights of 0.05 have a fifth of the usual size: five such layers pass 0.0003 on, one much more."""
    kernel = keras.initializers.RandomNormal(stddev=size)
    x = np.random.default_rng(0).normal(size=(ROWS, 16))
    seen = evidence(lambda: network(*[16] * layers, inputs=16, kernel_initializer=kernel), x=x)
    assert isinstance(CHECKS["S08"].look(seen), Found) is found


def test_a_last_layer_of_zeros_is_no_fault():
    """Its units begin alike, but what reaches them differs; a hidden layer of zeros never learns."""
    zeros = L.Dense(3, kernel_initializer="zeros")
    assert isinstance(CHECKS["S08"].look(evidence(lambda: ending(zeros))), Clear)
    assert isinstance(CHECKS["S08"].look(evidence(lambda: network(8, kernel_initializer="zeros"))), Found)


def ending(last: keras.layers.Layer) -> keras.Model:
    """A compiled network with this last layer."""
    model = keras.Sequential([keras.Input((4,)), L.Dense(8, "relu"), last])
    model.compile("adam", "mse")
    return model


@pytest.mark.parametrize("code", CHECKS)
def test_without_facts_nothing_is_said(code):
    outcome = CHECKS[code].look(healthy())
    if code != "L11":  # reads the training loss, which is there
        assert isinstance(outcome, NotApplicable)
        assert not outcome.why.endswith(".")


def one_hot(k: int) -> np.ndarray:
    return np.eye(k)[CLASSES[k]]


def column_against_row(target, output):
    """A loss of the person's own in which (n,) meets (n, 1)."""
    return keras.ops.mean(keras.ops.square(target[:, 0] - output), axis=-1)


ALL_ONE = keras.initializers.Constant(0.1)
POSITIVE = keras.initializers.RandomUniform(0.0, 1.0)
TINY = keras.initializers.RandomUniform(-0.001, 0.001)
HUGE = keras.initializers.RandomNormal(stddev=5.0)
BCE, CCE, SCCE = "binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy"

PLANTED = [
    (
        "S01",
        "softmax over one",
        lambda: evidence(lambda: network(8, activation="softmax", loss=BCE), classes=2),
    ),
    ("S01", "no sigmoid", lambda: evidence(lambda: network(8, activation="relu", loss=BCE), classes=2)),
    (
        "S01",
        "sigmoid twice",
        lambda: evidence(
            lambda: network(8, activation="sigmoid", loss=keras.losses.BinaryCrossentropy(from_logits=True)),
            classes=2,
        ),
    ),
    (
        "S01",
        "sigmoid for three",
        lambda: evidence(lambda: network(8, last=3, activation="sigmoid", loss=SCCE), classes=3),
    ),
    ("S01", "target beyond sigmoid", lambda: evidence(lambda: network(8, activation="sigmoid"))),
    ("S01", "softmax for values", lambda: evidence(lambda: network(8, activation="softmax"))),
    ("S02", "entropy for values", lambda: evidence(lambda: network(8, activation="sigmoid", loss=BCE))),
    ("S02", "squares for classes", lambda: evidence(lambda: network(8, activation="sigmoid"), classes=2)),
    ("S02", "two for three", lambda: evidence(lambda: network(8, activation="sigmoid", loss=BCE), classes=3)),
    ("S03", "one for three", lambda: evidence(lambda: network(8, activation="sigmoid", loss=BCE), classes=3)),
    ("S03", "two for one", lambda: evidence(lambda: network(8, last=2))),
    (
        "S04",
        "codes for columns",
        lambda: evidence(
            lambda: network(8, last=3, activation="softmax", loss="mse"), classes=3, kind="codes", given=True
        ),
    ),
    (
        "S04",
        "columns for codes",
        lambda: evidence(
            lambda: network(8, activation="sigmoid", loss=BCE),
            classes=2,
            raw=one_hot(2),
            kind="one-hot",
            given=True,
        ),
    ),
    ("S04", "all alike", lambda: evidence(lambda: network(8), y=np.ones((ROWS, 1)))),
    ("S05", "broadcast", lambda: evidence(lambda: network(8, loss=column_against_row))),
    ("S06", "linear hidden", lambda: evidence(lambda: network(L.Dense(8), 8))),
    ("S07", "exponential", lambda: evidence(lambda: network(L.Dense(8, "exponential"), 8))),
    ("S07", "deep sigmoids", lambda: evidence(lambda: network(*[L.Dense(5, "sigmoid") for _ in range(5)]))),
    ("S08", "constant", lambda: evidence(lambda: network(8, 8, kernel_initializer=ALL_ONE))),
    ("S08", "positive", lambda: evidence(lambda: network(8, 8, kernel_initializer=POSITIVE))),
    ("S08", "tiny", lambda: evidence(lambda: network(8, 8, 8, kernel_initializer=TINY))),
    ("S08", "huge", lambda: evidence(lambda: network(8, 8, kernel_initializer=HUGE))),
    ("S09", "negative", lambda: evidence(lambda: network(8, optimizer=keras.optimizers.Adam(-0.001)))),
    ("S10", "high", lambda: evidence(lambda: network(8, optimizer=keras.optimizers.Adam(0.1)))),
    ("S10", "high SGD", lambda: evidence(lambda: network(8, optimizer=keras.optimizers.SGD(2.0)))),
    ("S11", "low", lambda: evidence(lambda: network(8, optimizer=keras.optimizers.Adam(1e-6)))),
    ("S13", "most dropped", lambda: evidence(lambda: network(8, L.Dropout(0.9), 8))),
    (
        "S12",
        "before normalisation",
        lambda: evidence(lambda: network(8, L.Dropout(0.2), L.BatchNormalization(), 8)),
    ),
    ("S13", "strong L2", lambda: evidence(lambda: network(8, kernel_regularizer=keras.regularizers.L2(0.5)))),
    ("S17", "bias", lambda: evidence(lambda: network(L.Dense(8), L.BatchNormalization(), L.ReLU(), 8))),
    ("S15", "single rows", lambda: evidence(lambda: network(8), batch=1)),
    ("S15", "all rows", lambda: evidence(lambda: network(8), batch=ROWS)),
    (
        "S16",
        "rare",
        lambda: evidence(
            lambda: network(8, activation="sigmoid", loss=BCE, metrics=["accuracy"]),
            y=(np.arange(ROWS) < 10).astype(int),
            classes=2,
        ),
    ),
    ("D01", "NaN", lambda: evidence(lambda: network(8), x=np.where(X > 3, np.nan, X), y=X[:, :1])),
    ("D02", "thousands", lambda: evidence(lambda: network(8), x=X * [1, 1, 1000, 1], y=X[:, :1])),
    ("D02", "thousandths", lambda: evidence(lambda: network(8), x=X / 1000, y=X[:, :1])),
    ("D03", "large", lambda: evidence(lambda: network(8), y=X[:, :1] * 100)),
    ("D03", "far", lambda: evidence(lambda: network(8), y=X[:, :1] + 100)),
    ("D03", "small", lambda: evidence(lambda: network(8), y=X[:, :1] / 1000)),
    (
        "D04",
        "one far out",
        lambda: evidence(lambda: network(8), x=np.where(X.max() == X, 1e4, X), y=X[:, :1]),
    ),
    (
        "D05",
        "rare",
        lambda: evidence(
            lambda: network(8, activation="sigmoid", loss=BCE),
            y=(np.arange(ROWS) < 10).astype(int),
            classes=2,
        ),
    ),
    ("D10", "Cauchy", lambda: evidence(lambda: network(8), x=RNG.standard_cauchy((ROWS, 4)), y=X[:, :1])),
    ("D07", "few rows", lambda: evidence(lambda: network(500), x=X[:40], y=X[:40, :1])),
]


@pytest.mark.parametrize(
    ("code", "plant"), [(c, p) for c, _, p in PLANTED], ids=[f"{c}-{n}" for c, n, _ in PLANTED]
)
def test_what_is_planted_is_seen(code, plant):
    outcome = CHECKS[code].look(plant())
    assert isinstance(outcome, Found), outcome
    assert outcome.sentence.endswith(".")
    assert 0 < outcome.severity <= 1


def test_a_missing_number_far_out_is_no_reason_to_see_outliers_everywhere():
    assert isinstance(CHECKS["D04"].look(evidence(lambda: network(8), x=X)), Clear)


def test_contradictions_are_counted_among_rows_with_equal_inputs():
    x = np.repeat(X[:150], 2, axis=0)
    y = np.tile([0, 1], 150)
    identical = np.repeat(np.arange(150), 2)
    data = data_facts(x, y, task="binary", n_classes=2, identical=identical)
    assert data.contradictory == 1
    assert data.distinct == 0.5
    assert isinstance(CHECKS["D06"].look(healthy(data=data)), Found)
    one = data_facts(x, identical % 2, task="binary", n_classes=2, identical=identical)
    assert one.contradictory == 0


def test_a_normalised_output_is_seen_behind_the_last_layer_only():
    def behind():
        model = keras.Sequential([keras.Input((4,)), L.Dense(8, "relu"), L.Dense(1), L.BatchNormalization()])
        model.compile("adam", "mse")
        return model

    assert isinstance(CHECKS["S14"].look(evidence(behind)), Found)
    assert isinstance(CHECKS["S14"].look(evidence(lambda: network(8, L.BatchNormalization(), 8))), Clear)


def test_a_subclassed_model_is_judged_by_what_it_tells():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.hidden, self.last = L.Dense(8, "relu"), L.Dense(1)

        def call(self, x):
            return self.last(self.hidden(x))

    def build():
        model = Own()
        model.compile(keras.optimizers.Adam(0.1), "mse")
        return model

    seen = evidence(build)
    assert isinstance(CHECKS["S01"].look(seen), NotApplicable)
    assert isinstance(CHECKS["S10"].look(seen), Found)
    assert [layer.units for layer in seen.model.kernels] == [8, 1]


PROBED_LAYERS = ["dense", "dense_1", "dense_2", "dense_3"]


def probes(**variables):
    """Probes of all members over ten epochs: a name → one number per layer."""
    import xarray as xr

    arrays = {
        name: (("member", "epoch", "layer"), np.broadcast_to(values, (MEMBERS, 10, 4)).astype(float))
        for name, values in variables.items()
    }
    return xr.Dataset(arrays, coords={"layer": PROBED_LAYERS, "epoch": np.arange(10)})


@pytest.mark.parametrize(
    ("code", "variable", "sound", "sick"),
    [
        ("L05", "gradient_norm", [0.3, 0.4, 0.5, 0.6], [1e-6, 1e-4, 1e-2, 1.0]),
        ("L06", "gradient_norm", [0.3, 0.4, 0.5, 0.6], [1e4, 1e3, 1e2, 1e1]),
        ("L07", "dead", [0.1, 0.2, 0.0, np.nan], [0.1, 0.9, 0.0, np.nan]),
        ("L08", "saturated", [0.1, 0.2, 0.0, np.nan], [0.9, 0.1, 0.0, np.nan]),
        ("L09", "update_ratio", [1e-3] * 4, [0.5] * 4),
        ("L10", "update_ratio", [1e-3] * 4, [1e-7] * 4),
    ],
)
def test_the_inside_of_members_is_judged_layer_by_layer(code, variable, sound, sick):
    look = CHECKS[code].look
    assert isinstance(look(healthy(probes=probes(**{variable: sound}))), Clear)
    found = look(healthy(probes=probes(**{variable: sick})))
    assert isinstance(found, Found)
    assert found.rate.value == 1
    nothing = healthy(probes=probes(**{variable: [np.nan] * 4}))
    assert isinstance(look(nothing), NotApplicable)


def test_a_rate_is_the_share_of_members_that_show_it():
    some = probes(dead=[0.1, 0.1, 0.1, 0.1])
    some["dead"][:3, :, 1] = 0.9
    found = CHECKS["L07"].look(healthy(probes=some))
    assert found.rate.value == pytest.approx(3 / MEMBERS)
    assert found.rate.low > 0


def test_oscillation_is_told_from_settling():
    epochs = np.arange(50)
    jumping = 0.5 + 0.3 * np.resize([1, -1], 50) + np.exp(-epochs)
    sick = healthy(loss=np.tile(jumping, (MEMBERS, 1)))
    assert isinstance(CHECKS["L11"].look(sick), Found)
    assert isinstance(CHECKS["L11"].look(healthy()), Clear)
    assert isinstance(CHECKS["L11"].look(replace(sick, loss=sick.loss[:, :4])), NotApplicable)


def test_one_class_for_all_rows_is_seen():
    assert isinstance(CHECKS["L12"].look(healthy(one_class=np.ones(MEMBERS, bool))), Found)
    assert isinstance(CHECKS["L12"].look(healthy(one_class=np.zeros(MEMBERS, bool))), Clear)


def estimate(low: float) -> Estimate:
    return Estimate(value=low + 0.05, low=low, high=low + 0.1, method="planted", n=100)


def test_validation_rows_of_another_kind_and_too_few_of_them_are_seen():
    data = replace(SOUND["binary"].data, validation_rows=500, shift=estimate(0.45))
    assert isinstance(CHECKS["D08"].look(healthy(data=data)), Clear)
    assert isinstance(CHECKS["D09"].look(healthy(data=data)), Clear)
    data = replace(data, validation_rows=30, shift=estimate(0.8))
    assert isinstance(CHECKS["D08"].look(healthy(data=data)), Found)
    assert isinstance(CHECKS["D09"].look(healthy(data=data)), Found)
    assert isinstance(CHECKS["D08"].look(SOUND["binary"]), NotApplicable)


def test_layers_have_the_names_that_probes_give_them_in_another_build():
    """Keras counts through the session: without that, no check of the inside finds a layer again."""
    from caviar.population.probe import layer_names

    first = evidence(lambda: network(16, 16)).model
    assert [layer.name for layer in first.layers] == list(layer_names(network(16, 16)))
