"""Recipes whose hidden layers differ in width train as one program, and each becomes what `fit` makes of it."""

from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caviar.errors import OptionError, RunError
from caviar.population import devices, together
from caviar.population.job import Job, Seat
from caviar.population.keep import Keep
from caviar.population.narrow import draw
from caviar.population.template import build_alone, make_template, variables
from caviar.population.together import train_in_turn, train_together
from caviar.population.train import train
from caviar.population.widths import widened, widths
from tests.population.conftest import fit_alone

devices.start()
import keras  # noqa: E402 - only once JAX is its backend

L, R = keras.layers, keras.regularizers
opt = keras.optimizers
RNG = np.random.default_rng(0)
X = RNG.normal(size=(62, 4)).astype(np.float32)
Y = (X[:, :1] * X[:, 1:2] > 0).astype(np.float32)
BATCH = X[:2], Y[:2]
XS, YS = X[None], Y[None]


def plain(one, two, rate=0.01):
    return compiled([L.Dense(one, "relu"), L.Dense(two, "tanh"), L.Dense(1, "sigmoid")], opt.Adam(rate))


def rich(one, two, rate=0.01, drop=0.3):
    layers = [
        *(L.GaussianNoise(0.1), L.Dropout(0.1)),
        L.Dense(one, kernel_initializer="he_normal", kernel_regularizer=R.L2(1e-3), use_bias=False),
        *(L.BatchNormalization(), L.LeakyReLU(0.2), L.Dropout(drop)),
        L.Dense(
            two, "gelu", kernel_constraint=keras.constraints.MaxNorm(2), bias_initializer="random_normal"
        ),
        *(L.Dropout(0.2), L.Dense(1), L.Activation("sigmoid")),
    ]
    return compiled(layers, opt.Adam(rate))


def functional(one, two):
    inputs = keras.Input((4,))
    hidden = L.Dense(two, "selu", kernel_initializer="lecun_normal")(L.Dense(one, "elu")(inputs))
    model = keras.Model(inputs, L.Dense(1, "sigmoid")(hidden))
    model.compile("sgd", "binary_crossentropy")
    return model


def without_input(one, two):
    model = keras.Sequential([L.Dense(one, "relu"), L.Dense(two, "relu"), L.Dense(1, "sigmoid")])
    model.compile("adam", "binary_crossentropy")
    return model


def compiled(layers, optimizer):
    model = keras.Sequential([keras.Input((4,)), *layers])
    model.compile(optimizer, "binary_crossentropy", metrics=["accuracy"])
    return model


def job(build, epochs=4, **changes):
    rows = np.arange(62)
    seats = [
        Seat(
            0,
            fold,
            3 + fold,
            0,
            rows[rows % 3 != fold][6:],
            rows[rows % 3 != fold][:6],
            rows[rows % 3 == fold],
        )
        for fold in range(2)
    ]
    return Job(build, XS, YS, None, seats, 16, epochs, **changes)


def jobs(build, sizes=((6, 3), (3, 5)), **changes):
    return [job(partial(build, *size), **changes) for size in sizes]


def assert_same(one, other, *, rtol=2e-4, atol=2e-5):
    np.testing.assert_allclose(np.stack(one.outputs), np.stack(other.outputs), rtol=rtol, atol=atol)
    for name in other.history.data_vars:
        np.testing.assert_allclose(one.history[name], other.history[name], rtol=rtol, atol=atol)
    for a, b in zip(one.states, other.states, strict=True):
        for left, right in zip(a, b, strict=True):
            for value, expected in zip(left, right, strict=True):
                np.testing.assert_allclose(value, expected, rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize("build", [plain, rich, functional, without_input])
def test_every_member_becomes_what_fit_makes_of_it(build):
    some = jobs(build)
    trained, populations = train_together(some)
    assert populations == 1
    for one, found in zip(some, trained, strict=True):
        for i, seat in enumerate(one.seats):
            fitted = fit_alone(one, seat)
            for name, values in fitted.logs.items():
                np.testing.assert_allclose(found.history[name][i], values, rtol=5e-4, atol=2e-5)
            np.testing.assert_allclose(found.outputs[i], fitted.outputs, rtol=1e-3, atol=2e-5)
            for value, expected in zip(found.states[i][0], fitted.model.trainable_variables, strict=True):
                np.testing.assert_allclose(value, expected, rtol=1e-3, atol=2e-5)


OPTIMIZERS = {
    "momentum": lambda: opt.SGD(0.1, momentum=0.9, nesterov=True),
    "clipped": lambda: opt.SGD(0.5, global_clipnorm=0.1),
    "clipped each": lambda: opt.Adam(0.01, clipnorm=0.05),
    "decayed": lambda: opt.AdamW(0.01, weight_decay=0.1),
    "Adamax": lambda: opt.Adamax(0.01),
    "Nadam": lambda: opt.Nadam(0.01),
    "amsgrad": lambda: opt.Adam(0.01, amsgrad=True),
    "RMSprop": lambda: opt.RMSprop(0.003, momentum=0.5, centered=True),
    "Adagrad": lambda: opt.Adagrad(0.05),
    "Adadelta": lambda: opt.Adadelta(1.0),
    "Lion": lambda: opt.Lion(1e-3),
    "averaged": lambda: opt.SGD(0.1, use_ema=True, ema_overwrite_frequency=None),
}


@pytest.mark.thorough
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_no_optimizer_moves_what_a_layer_does_not_have(name):
    def build(one, two):
        layers = [L.Dense(one, "relu"), L.BatchNormalization(), L.Dense(two, "silu"), L.Dense(1, "sigmoid")]
        return compiled(layers, OPTIMIZERS[name]())

    some = jobs(build)
    trained, populations = train_together(some)
    assert populations == 1
    for one, found in zip(some, trained, strict=True):
        assert_same(found, train(one))


@pytest.mark.parametrize("way", ["vmap", "last"])
@pytest.mark.thorough
def test_it_does_not_matter_how_members_are_spread(way):
    some = jobs(rich, spread=way)
    trained, populations = train_together(some)
    assert populations == 1
    for one, found in zip(some, trained, strict=True):
        assert_same(found, train(replace(one, spread="vmap")))


@pytest.mark.thorough
def test_numbers_differ_beside_widths():
    some = [job(partial(rich, *size)) for size in ((6, 3, 0.01, 0.3), (3, 5, 0.003, 0.5), (6, 3, 0.02, 0.1))]
    trained, populations = train_together(some)
    assert populations == 1
    for one, found in zip(some, trained, strict=True):
        assert_same(found, train(one))


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_dropout_that_draws_no_mask_needs_no_width(rate):
    some = jobs(chained(lambda: L.Dropout(rate)), epochs=2)
    trained, populations = train_together(some)
    assert populations == 1
    for one, found in zip(some, trained, strict=True):
        assert found.engine == "population"
        assert_same(found, train(one))


@pytest.mark.thorough
def test_callbacks_see_and_keep_each_member_as_it_is():
    stop = keras.callbacks.EarlyStopping(patience=1, min_delta=0.02, restore_best_weights=True)
    some = jobs(plain, callbacks=(stop,), epochs=12)
    trained, populations = train_together(some)
    assert populations == 1
    for one, found in zip(some, trained, strict=True):
        assert_same(found, train(one))
        assert np.isnan(found.history["loss"]).any(), "nobody stopped: the test shows nothing"


@pytest.mark.thorough
def test_narrow_members_go_on_from_where_they_ended():
    whole, _ = train_together(jobs(rich, epochs=6))
    first, _ = train_together(jobs(rich, epochs=2))
    later = [
        replace(one, begun=before.states, initial_epoch=2)
        for one, before in zip(jobs(rich, epochs=6), first, strict=True)
    ]
    rest, populations = train_together(later)
    assert populations == 1
    for one, at_once in zip(rest, whole, strict=True):
        for a, b in zip(one.states, at_once.states, strict=True):
            for value, expected in zip(a[0], b[0], strict=True):
                np.testing.assert_allclose(value, expected, rtol=1e-3, atol=2e-5)


@pytest.mark.thorough
def test_narrow_members_go_on_with_a_dropout_rate_from_and_to_0():
    """Together as alone; alone they do as Keras' `fit` does (test_begun.py)."""
    begins, goes_on = partial(rich, drop=0.0), partial(rich, drop=0.4)
    for before, after in ((begins, goes_on), (goes_on, begins)):
        first, _ = train_together(jobs(before, epochs=2))
        later = [
            replace(one, initial_epoch=2).going_on(ended.ended)
            for one, ended in zip(jobs(after, epochs=4), first, strict=True)
        ]
        found, populations = train_together(later)
        assert populations == 1
        for one, together_ in zip(later, found, strict=True):
            assert_same(together_, train(one))


def test_other_widths_are_another_training_for_what_is_kept(tmp_path):
    keep = Keep(tmp_path)
    first, _ = train_together(jobs(plain), keep=keep)
    again, _ = train_together(jobs(plain), keep=keep)
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(np.stack(one.outputs), np.stack(other.outputs))
    with pytest.raises(RunError, match="to hold this very training"):
        train_together(jobs(plain, ((6, 3), (2, 5))), keep=keep)


@settings(max_examples=15, deadline=None)
@given(
    sizes=st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=2, max_size=4),
    initializer=st.sampled_from(
        ["glorot_uniform", "glorot_normal", "he_uniform", "lecun_normal", "random_uniform", "random_normal"]
    ),
    seed=st.integers(0, 2**31),
)
@pytest.mark.thorough
def test_first_values_are_those_that_keras_draws(sizes, initializer, seed):
    def build(one, two):
        kinds = {"kernel_initializer": initializer, "bias_initializer": initializer}
        dense = [
            L.Dense(one, "relu", **kinds),
            L.BatchNormalization(),
            L.Dropout(0.2),
            L.Dense(two, "relu", **kinds),
        ]
        return compiled([*dense, L.Dense(1, "sigmoid")], opt.Adam())

    most = tuple(map(max, *sizes))
    wide = make_template(widened(partial(build, *sizes[0]), most, BATCH), BATCH)
    own = [make_template(partial(build, *size), BATCH) for size in sizes]
    groups = draw(wide, own, [seed + i for i in range(len(sizes))])
    for i, size in enumerate(sizes):
        model = build_alone(partial(build, *size), BATCH, seed + i)
        for group, expected in zip(groups, variables(model), strict=True):
            for values, variable in zip(group, expected, strict=True):
                inside = tuple(map(slice, variable.shape))
                np.testing.assert_allclose(values[i][inside], variable, rtol=1e-6, atol=1e-7)
                assert np.count_nonzero(values[i]) == np.count_nonzero(values[i][inside])


def skipping(one, two):
    inputs = keras.Input((4,))
    hidden = L.Dense(one, "relu")(inputs)
    hidden = L.Concatenate()([hidden, L.Dense(two, "relu")(hidden)])
    model = keras.Model(inputs, L.Dense(1, "sigmoid")(hidden))
    model.compile("sgd", "binary_crossentropy")
    return model


@dataclass
class Own:
    """An activation that has no hash."""

    factor: float = 1.0

    def __call__(self, x):
        return self.factor * x


def tables(one, two):
    layers = [L.Reshape((2, 2)), L.Dense(one, "relu"), L.Dropout(0.4), L.Dense(two, "relu"), L.Dense(1)]
    return compiled([*layers, L.GlobalAveragePooling1D(), L.Activation("sigmoid")], opt.Adam())


def looked_at(one, two):
    inputs = keras.Input((4,))
    hidden = L.Dense(one, "relu")(inputs)
    last = L.Dense(1)(L.Dense(two, "relu")(hidden))
    model = keras.Model(inputs, last + keras.ops.mean(hidden, axis=-1, keepdims=True))
    model.compile("sgd", "mse")
    return model


def chained(*between, optimizer=opt.Adam, last="sigmoid"):
    def build(one, two):
        layers = [L.Dense(one, "relu"), *(make() for make in between), L.Dense(two, "relu"), L.Dense(1, last)]
        return compiled(layers, optimizer())

    return build


ALONE = {
    "a unit without weights says something": chained(lambda: L.Activation("sigmoid")),
    "layer normalization counts units": chained(L.LayerNormalization),
    "noise reaches units that are not there": chained(lambda: L.GaussianNoise(0.1)),
    "batch normalization divides by zero": chained(lambda: L.BatchNormalization(epsilon=0.0)),
    "dropout with a shape of its own": chained(lambda: L.Dropout(0.2, noise_shape=(None, 1))),
    "softmax over units": chained(L.Softmax),
    "correlations are counted by units": chained(
        lambda: L.Activation("relu", activity_regularizer=R.OrthogonalRegularizer(mode="columns"))
    ),
    "an optimizer divides by zero": chained(optimizer=lambda: opt.Adam(epsilon=0.0)),
    "an activation of the user's own": chained(lambda: L.Activation(Own())),
    "layers see tables": tables,
    "an operation looks at a hidden layer": looked_at,
    "whole layers are normalised": chained(optimizer=opt.Lamb),
    "zero divided by zero": chained(optimizer=opt.Ftrl),
    "not a chain": skipping,
}


@pytest.mark.parametrize("why", ALONE)
def test_what_cannot_be_filled_up_has_no_widths(why):
    assert widths(make_template(partial(ALONE[why], 6, 3), BATCH).model) == ()


@pytest.mark.parametrize("build", [plain, rich, functional, without_input])
def test_hidden_layers_have_widths(build):
    assert widths(make_template(partial(build, 6, 3), BATCH).model) == (6, 3)


def families(some):
    return [family.jobs for family in together._families(some)]


def test_what_differs_in_more_than_widths_trains_by_itself():
    other = partial(chained(), 6, 3)
    assert families([job(partial(plain, 6, 3)), job(other), job(partial(plain, 3, 5))]) == [[0, 2], [1]]


def test_other_widths_of_the_last_layer_are_another_model():
    def build(units):
        hidden = [L.Dense(units, "relu"), L.Dense(units, "relu")]
        model = keras.Sequential([keras.Input((4,)), *hidden, L.Dense(units, "softmax")])
        model.compile("adam", "sparse_categorical_crossentropy")
        return model

    assert families([job(partial(build, 3)), job(partial(build, 5))]) == [[0], [1]]


def averaged(units):
    """The mean of all outputs is the model's only one."""
    last = [L.Dense(units, "sigmoid"), L.Reshape((-1, 1)), L.GlobalAveragePooling1D()]
    return compiled([L.Dense(units, "relu"), *last], opt.Adam())


def shared(units):
    """Another layer has the width of the hidden one."""
    first = [L.Reshape((2, 2)), L.TimeDistributed(L.Dense(units, "sigmoid")), L.GlobalAveragePooling1D()]
    return compiled([*first, L.Dense(units, "relu"), L.Dense(1, "sigmoid")], opt.Adam())


@pytest.mark.parametrize("build", [averaged, shared])
def test_what_is_no_hidden_layer_keeps_its_width(build):
    assert families([job(partial(build, 3)), job(partial(build, 5))]) == [[0], [1]]


def test_one_member_that_divides_by_zero_keeps_all_of_its_structure_out():
    def build(units, epsilon):
        hidden = [L.Dense(units, "tanh"), L.BatchNormalization(epsilon=epsilon)]
        return compiled([*hidden, L.Dense(1, "sigmoid")], opt.SGD())

    some = [job(partial(build, *one)) for one in ((6, 1e-3), (6, 0.0), (3, 1e-3))]
    assert families(some) == [[0, 1], [2]]


def test_a_sequence_that_takes_several_arrays_has_no_widths():
    def build():
        model = keras.Sequential([L.Concatenate(), L.Dense(3, "relu"), L.Dense(1)])
        model.compile("sgd", "mse")
        return model

    assert widths(make_template(build, ([X[:2], X[:2]], Y[:2])).model) == ()


def test_members_do_not_begin_with_states_of_another_width():
    small = train(job(partial(plain, 2, 2), epochs=1)).states
    some = [replace(one, begun=small, initial_epoch=1) for one in jobs(plain)]
    with pytest.raises(OptionError, match="states of members of the same model"):
        train_together(some)


def test_a_number_that_only_happens_to_be_a_width_is_none():
    def build(units, seed):
        return compiled([L.Dense(units, "relu"), L.Dropout(0.2, seed=seed), L.Dense(1)], opt.Adam())

    assert families([job(partial(build, 3, 7)), job(partial(build, 5, 7))]) == [[0, 1]]
    assert families([job(partial(build, 3, 3)), job(partial(build, 5, 5))]) == [[0], [1]]


def test_a_chain_that_learns_nothing_has_no_weights_to_fill_up():
    def build(units):
        model = plain(units, units)
        model.trainable = False
        return model

    some = [job(partial(build, units)) for units in (3, 5)]
    for ours, one in zip(train_together(some)[0], some, strict=True):
        assert_same(ours, train(one))


def test_filling_up_that_takes_longer_than_a_program_is_not_worth_it():
    sizes = ((8, 8), (512, 512), (508, 508))
    assert families(jobs(plain, sizes, epochs=4)) == [[0, 1, 2]]
    assert families(jobs(plain, sizes, epochs=4_000)) == [[0], [1, 2]]


@given(
    st.lists(st.tuples(st.integers(1, 64), st.integers(1, 64)), min_size=1, max_size=12),
    st.floats(0, 1e5),
    st.integers(1, 9),
)
def test_groups_take_less_than_all_alone_and_no_two_of_them_less_together(sizes, worth, work):
    shapes = np.array([[(4, one), (one, two), (two, 1)] for one, two in sizes])
    works = work * np.arange(1.0, len(sizes) + 1)

    def takes(group):
        return worth + works[group].sum() * shapes[group].max(axis=0).prod(axis=-1).sum()

    groups = together.cheapest(shapes, works, worth)
    assert sorted(place for group in groups for place in group) == list(range(len(sizes)))
    assert sum(map(takes, groups)) <= sum(takes([place]) for place in range(len(sizes)))
    for one, two in combinations(groups, 2):
        assert takes([*one, *two]) >= takes(one) + takes(two) - 1e-6


def test_probed_members_keep_their_own_layers():
    assert families(jobs(plain, probe=1)) == [[0], [1]]


LIKE_ONE_BEFORE = (((6, 3), 0.1, 2), ((6, 3), 0.001, 4), ((3, 5), 0.001, 4))


@pytest.mark.parametrize("more", [False, True])
def test_a_rate_is_ones_own_although_a_recipe_like_it_came_before(more):
    """With another rate and for other epochs: it is built once for both, and trains apart."""
    some = [job(partial(plain, *size, rate), epochs=epochs) for size, rate, epochs in LIKE_ONE_BEFORE]
    for trained, _ in train_in_turn(some, more=more):
        for place, one in trained.items():
            assert_same(one, train(some[place]))
