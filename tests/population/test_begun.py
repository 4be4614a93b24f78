"""Members that go on from given states end where those that never stopped end."""

from dataclasses import replace

import numpy as np
import pytest

from caviar.errors import OptionError
from caviar.population import devices
from caviar.population.job import Job, Seat
from caviar.population.keep import Keep
from caviar.population.staged import train_staged
from caviar.population.template import variables
from caviar.population.together import train_together
from caviar.population.train import train

devices.start()
import keras  # noqa: E402 - only once JAX is its backend

L = keras.layers
RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4)).astype(np.float32)
Y = (X[:, :1] * X[:, 1:2] > 0).astype(np.float32)


def build(rate=0.01, drop=0.2, width=8):
    model = keras.Sequential(
        [
            keras.Input((4,)),
            L.Dense(width, "relu"),
            L.BatchNormalization(),
            L.Dropout(drop),
            L.Dense(1, "sigmoid"),
        ]
    )
    model.compile(keras.optimizers.Adam(rate), "binary_crossentropy", metrics=["accuracy"])
    return model


def job(made=build, epochs=8, batch_size=16, **changes):
    rows = np.arange(60)
    seats = [
        Seat(0, fold, seed, 0, rows[rows % 3 != fold], rows[rows % 3 == fold][:6], rows[rows % 3 == fold])
        for fold in range(2)
        for seed in (3, 4)
    ]
    return Job(made, X[None], Y[None], None, seats, batch_size, epochs, **changes)


def going_on(before, after, **options):
    """Train a job, then another one from where it ended."""
    first = train(before, **options)
    return train(replace(after, begun=first.states, initial_epoch=before.epochs), **options)


def same(one, other):
    for a, b in zip(one.states, other.states, strict=True):
        for left, right in zip(a, b, strict=True):
            for value, expected in zip(left, right, strict=True):
                np.testing.assert_allclose(value, expected, rtol=2e-4, atol=2e-6)


@pytest.mark.parametrize("one_by_one", [False, True], ids=["population", "loop"])
def test_training_in_two_parts_is_training_at_once(one_by_one):
    whole = train(job(), one_by_one=one_by_one)
    parts = going_on(job(epochs=3), job(), one_by_one=one_by_one)
    same(parts, whole)
    for name in whole.history.data_vars:
        np.testing.assert_allclose(parts.history[name], whole.history[name][:, 3:], rtol=2e-4, atol=1e-5)
    np.testing.assert_allclose(np.stack(parts.outputs), np.stack(whole.outputs), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("one_by_one", [False, True], ids=["population", "loop"])
def test_a_schedule_goes_on_as_if_it_had_seen_the_epochs_before(one_by_one):
    halving = (keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5 if epoch % 2 else rate),)
    whole = train(job(callbacks=halving), one_by_one=one_by_one)
    parts = going_on(job(epochs=3, callbacks=halving), job(callbacks=halving), one_by_one=one_by_one)
    same(parts, whole)


def gone_on(seat, changed=None, batch_size=16):
    """Keras' `fit` of a seat: three epochs at batches of 16, then up to the eighth with other numbers.

    Dropout is compiled in: a second model goes on, with the rows in the order in which the first would.
    """
    keras.utils.set_random_seed(seat.seed)
    rows = {"x": X[seat.fit], "y": Y[seat.fit], "verbose": 0}
    model = build()
    model.fit(**rows, batch_size=16, epochs=3)
    other = build(**(changed or {}))
    other.optimizer.build(other.trainable_variables)
    for a, b in zip(
        [*other.variables, *other.optimizer.variables],
        [*model.variables, *model.optimizer.variables],
        strict=True,
    ):
        a.assign(b)
    if "rate" in (changed or {}):
        other.optimizer.learning_rate.assign(changed["rate"])
    np.random.seed(seat.seed)  # noqa: NPY002 - Keras' own source of orders
    for _ in range(3):
        np.random.permutation(len(seat.fit))  # noqa: NPY002
    other.fit(**rows, batch_size=batch_size, epochs=8, initial_epoch=3)
    return other


@pytest.mark.parametrize("changed", [{"rate": 0.1}, {"drop": 0.5}])
def test_what_the_recipe_says_now_counts_from_there_on(changed):
    """Beside a loop of Keras' `fit` in which the same is changed by hand after three epochs."""
    found = going_on(job(epochs=3), job(lambda: build(**changed)))
    for seat, outputs in zip(job().seats, found.outputs, strict=True):
        expected = gone_on(seat, changed).predict(X[seat.scored], verbose=0)
        np.testing.assert_allclose(outputs[: len(seat.scored)], expected, rtol=2e-3, atol=1e-4)


@pytest.mark.thorough
def test_another_batch_size_takes_the_rows_in_the_same_order():
    """Beside Keras' `fit` that goes on in batches of 8: other rows in any step would lead to other weights."""
    small = going_on(job(epochs=3), job(batch_size=8))
    assert np.unique([state[2][0] for state in small.states]).tolist() == [3 * 3 + 5 * 5]
    for seat, state in zip(job().seats, small.states, strict=True):
        expected = variables(gone_on(seat, batch_size=8))
        for values, others in zip(state[:2], expected[:2], strict=True):
            for value, other in zip(values, others, strict=True):
                np.testing.assert_allclose(value, np.asarray(other), rtol=2e-4, atol=2e-4)


def test_recipes_that_differ_in_numbers_go_on_together():
    rates = (0.001, 0.02)
    before, _ = train_together([job(lambda r=rate: build(r), epochs=3) for rate in rates])
    later = [
        replace(job(lambda r=rate: build(r)), begun=one.states, initial_epoch=3)
        for rate, one in zip(rates, before, strict=True)
    ]
    shared = [replace(one, x=later[0].x, y=later[0].y) for one in later]
    found, populations = train_together(shared)
    assert populations == 1
    for rate, one in zip(rates, found, strict=True):
        same(one, train(job(lambda r=rate: build(r))))


def test_the_state_that_is_kept_is_that_of_these_states(tmp_path):
    first = train(job(epochs=3))
    later = replace(job(), begun=first.states, initial_epoch=3)
    found = train(later, keep=Keep(tmp_path))
    same(train(later, keep=Keep(tmp_path)), found)
    others = [(t, [v + 1 for v in r], o) for t, r, o in first.states]
    with pytest.raises(Exception, match="other rows, model or arguments"):
        train(replace(later, begun=others), keep=Keep(tmp_path))


def averaging():
    model = build()
    model.compile(keras.optimizers.Adam(0.01, use_ema=True), "binary_crossentropy")
    return model


@pytest.mark.parametrize(
    ("later", "said"),
    [
        (job(callbacks=(keras.callbacks.EarlyStopping(),)), "EarlyStopping may remember earlier epochs"),
        (job(averaging), "averages weights"),
        (job(lambda: build(width=9)), "values of other shapes"),
    ],
)
def test_what_cannot_go_on_is_refused(later, said):
    first = train(job(epochs=1))
    with pytest.raises(OptionError, match=said):
        train(replace(later, begun=first.states, initial_epoch=1))


def test_each_member_needs_a_state():
    first = train(job(epochs=1))
    with pytest.raises(OptionError, match="a state for each of 4 members, got 3"):
        train(replace(job(), begun=first.states[:3], initial_epoch=1))


def two_dropouts(first, second, *, omits=False):
    """Two dropout layers, whose generators Keras makes only where they are needed; or no such layer at all."""
    some = [
        L.Dense(8, "relu"),
        L.BatchNormalization(),
        L.Dropout(first),
        L.Dense(6, "relu"),
        L.Dropout(second),
    ]
    some = [one for one in some if not (omits and getattr(one, "rate", 1) == 0)]
    model = keras.Sequential([keras.Input((4,)), *some, L.Dense(1, "sigmoid")])
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy", metrics=["accuracy"])
    return model


def fit_in_stages(seat, stages, ends):
    """Keras' `fit` of a seat, stage by stage: a new model takes over what the last one has, layer by layer."""
    before = done = 0
    for build_stage, until in zip(stages, ends, strict=True):
        keras.utils.set_random_seed(seat.seed)
        model = build_stage()
        model.optimizer.build(model.trainable_variables)
        if before:
            for one, other in zip(model.weights, before.weights, strict=True):
                one.assign(other)
            for one, other in zip(model.optimizer.variables, before.optimizer.variables, strict=True):
                one.assign(other)
            now, then = ({after_what(m, one): one for one in m.layers} for m in (model, before))
            for place in now.keys() & then.keys():
                seeds = [getattr(one[place], "seed_generator", None) for one in (now, then)]
                if all(seeds):
                    seeds[0].state.assign(seeds[1].state)
            np.random.seed(seat.seed)  # noqa: NPY002 - Keras' own source of orders
            for _ in range(done):
                np.random.permutation(len(seat.fit))  # noqa: NPY002
        model.fit(X[seat.fit], Y[seat.fit], verbose=0, batch_size=16, epochs=until, initial_epoch=done)
        before, done = model, until
    return before


def after_what(model, layer):
    """A layer's class, and how many weights come before it."""
    before = model.layers[: model.layers.index(layer)]
    return type(layer), sum(len(one.weights) for one in before)


def in_stages(stages, ends, **changes):
    begins = (0, *ends[:-1])
    return [
        job(one, epochs=until, initial_epoch=begin, **changes)
        for one, begin, until in zip(stages, begins, ends, strict=True)
    ]


@pytest.mark.thorough
@pytest.mark.parametrize("omits", [False, True], ids=["rate 0", "no layer"])
@pytest.mark.parametrize(
    "rates",
    [
        [(0.0, 0.3), (0.2, 0.3)],
        [(0.2, 0.3), (0.2, 0.0), (0.4, 0.2)],
        [(0.4, 0.0), (0.0, 0.3)],
    ],
    ids=str,
)
def test_a_dropout_rate_may_go_to_and_from_0(rates, omits):
    """Beside Keras' `fit` in stages: who keeps a generator goes on drawing, a new one begins as in a new network."""
    stages = [lambda r=pair: two_dropouts(*r, omits=omits) for pair in rates]
    ends = (3, 5, 8)[: len(stages)]
    (found,) = train_staged([in_stages(stages, ends)])
    assert found.engine == "population"
    for seat, outputs, state in zip(job().seats, found.outputs, found.states, strict=True):
        expected = fit_in_stages(seat, stages, ends)
        np.testing.assert_allclose(
            outputs[: len(seat.scored)], expected.predict(X[seat.scored], verbose=0), rtol=2e-3, atol=1e-4
        )
        for value, other in zip(state[1], expected.non_trainable_variables, strict=True):
            np.testing.assert_allclose(value, np.asarray(other), rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize("one_by_one", [False, True], ids=["population", "loop"])
def test_a_dropout_layer_that_begins_to_drop_does_so_as_in_a_new_network(one_by_one):
    first = train(job(lambda: build(drop=0.0), epochs=2), one_by_one=one_by_one)
    later = replace(job(epochs=3), initial_epoch=2).going_on(first.ended)
    found = train(later, one_by_one=one_by_one)
    for seat, state in zip(job().seats, found.states, strict=True):
        expected = fit_in_stages(seat, [lambda: build(drop=0.0), build], (2, 3))
        for values, others in zip(state, variables(expected)[:3], strict=True):
            for value, other in zip(values, others, strict=True):
                np.testing.assert_allclose(value, np.asarray(other), rtol=2e-3, atol=1e-5)


def beside_each_other(drop):
    """Two branches of equal shapes; where a layer is left out, Keras counts them in another order."""
    given = keras.Input((4,))
    one, other = L.Dense(5, "relu")(given), L.Dense(5, "tanh")(given)
    said = L.Concatenate()([one, L.Dropout(drop)(other) if drop else other])
    model = keras.Model(given, L.Dense(1, "sigmoid")(said))
    model.compile("sgd", "binary_crossentropy")
    return model


def test_weights_that_change_places_are_not_taken_for_each_other():
    first = train(job(lambda: beside_each_other(0.0), epochs=1))
    with pytest.raises(OptionError, match="values of other shapes"):
        train(replace(job(lambda: beside_each_other(0.3)), initial_epoch=1).going_on(first.ended))
