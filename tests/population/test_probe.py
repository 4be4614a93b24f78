"""Probes find what was planted, say what they cannot see, and leave the training as it is, to the bit."""

from dataclasses import replace
from functools import partial

import jax
import keras
import numpy as np
import pytest

import caviar
from caviar.errors import OptionError
from caviar.population.job import Job, Seat
from caviar.population.probe import LAYER_VARIABLES, make_probe, make_sample, signal_and_noise
from caviar.population.probed import join, loss_spikes, seldom_enough
from caviar.population.template import global_seeds_restored, ready, variables
from caviar.population.train import train

L = keras.layers
NONE = np.empty(0, np.int64)


def members(*seeds, rows=64):
    return [Seat(0, 0, seed, 0, np.arange(rows), NONE, NONE) for seed in seeds]


def probed(build, x, y, *, seeds=(3, 4), epochs=1, batch=32, **options):
    """Probes of a population, before every epoch, rows in their own order."""
    rows = len(jax.tree.leaves(y)[0])
    job = Job(
        build,
        jax.tree.map(lambda a: a[None], x),
        jax.tree.map(lambda a: a[None], y),
        None,
        members(*seeds, rows=rows),
        batch,
        epochs,
        **{"probe": 1, "shuffle": False, **options},
    )
    trained = train(job)
    assert trained.engine == "population", trained.why
    return trained.probes


def alone(build, seed):
    """The model that `fit` would start from."""
    with global_seeds_restored():
        keras.utils.set_random_seed(seed)
        return build()


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(64, 5)).astype(np.float32)
    return x, (x[:, :1] * x[:, 1:2] + 0.1 * rng.normal(size=(64, 1))).astype(np.float32)


def of(optimizer, *layers, loss="mse", **options):
    """A builder; layers and optimizer are made anew at each call."""

    def build():
        model = keras.Sequential([keras.Input((5,)), *(layer() for layer in layers)])
        model.compile(optimizer(), loss, **options)
        return model

    return build


def sgd():
    return keras.optimizers.SGD(0.1)


def plain():
    return of(sgd, partial(L.Dense, 7, "relu"), partial(L.Dense, 4, "tanh"), partial(L.Dense, 1))


def forward(weights, x):
    """What the layers of `plain` put out, written by hand."""
    a = jax.nn.relu(x @ weights[0] + weights[1])
    b = jax.numpy.tanh(a @ weights[2] + weights[3])
    return a, b, b @ weights[4] + weights[5]


def gradients(weights, x, y):
    return jax.grad(lambda w: ((forward(w, x)[-1] - y) ** 2).mean())(weights)


def norm(arrays):
    return np.sqrt(sum(float((np.asarray(a, np.float64) ** 2).sum()) for a in arrays))


@pytest.mark.thorough
def test_gradients_weights_and_activations_are_those_written_by_hand(rows):
    x, y = rows
    seen = probed(plain(), x, y)
    for i, seed in enumerate((3, 4)):
        weights = [np.asarray(w) for w in alone(plain(), seed).get_weights()]
        found = gradients(weights, x[:32], y[:32])
        for j, outputs in enumerate(forward(weights, x[:32])):
            at = {"member": i, "epoch": 0, "layer": j}
            own = [2 * j, 2 * j + 1]
            said = {name: float(seen[name].isel(at)) for name in LAYER_VARIABLES}
            assert said["gradient_norm"] == pytest.approx(norm([found[k] for k in own]), rel=1e-5)
            assert said["weight_norm"] == pytest.approx(norm([weights[k] for k in own]), rel=1e-5)
            assert said["update_ratio"] == pytest.approx(
                0.1 * norm([found[k] for k in own]) / norm([weights[k] for k in own]), rel=1e-4
            )
            assert said["activation_mean"] == pytest.approx(float(np.mean(outputs)), abs=1e-6)
            assert said["activation_std"] == pytest.approx(float(np.std(outputs)), rel=1e-5)
    assert seen["layer"].values.tolist() == ["dense", "dense_1", "dense_2"]


@pytest.mark.parametrize(
    "optimizer",
    [
        sgd,
        partial(keras.optimizers.SGD, 0.1, momentum=0.9, nesterov=True),
        partial(keras.optimizers.AdamW, 0.01),
    ],
)
def test_the_update_ratio_is_that_of_the_next_real_step(rows, optimizer):
    """One batch per epoch: the weights after it are known."""
    x, y = rows
    build = of(optimizer, partial(L.Dense, 7, "relu"), partial(L.Dropout, 0.3), partial(L.Dense, 1))
    seen = probed(build, x, y, seeds=(3,), epochs=4, batch=64)
    with global_seeds_restored():
        keras.utils.set_random_seed(3)
        model, weights = build(), []
        weights.append(model.get_weights())
        for epoch in range(4):
            model.fit(x, y, batch_size=64, epochs=epoch + 1, initial_epoch=epoch, shuffle=False, verbose=0)
            weights.append(model.get_weights())
    for epoch in range(4):
        before, after = weights[epoch], weights[epoch + 1]
        for layer, own in enumerate(([0, 1], [2, 3])):
            real = norm([after[i] - before[i] for i in own]) / norm([before[i] for i in own])
            assert float(seen["update_ratio"][0, epoch, layer]) == pytest.approx(real, rel=1e-3)


@pytest.mark.thorough
@pytest.mark.parametrize("engine", ["auto", "loop"])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_training_stays_as_it_is_to_the_bit(rows, engine, optimizer):
    """Dropout, batch normalization and metrics carry states that a probe must not touch."""
    x, y = rows
    layers = (partial(L.Dense, 7, "relu"), L.BatchNormalization, partial(L.Dropout, 0.3), partial(L.Dense, 1))
    build = of(lambda: optimizer, *layers, metrics=["mae"])
    fit = partial(caviar.fit, build, x, y, seeds=2, folds=3, epochs=4, verbose=0, engine=engine)
    without, with_probes = fit(), fit(probes=2)
    assert without.probes is None
    assert with_probes.probes["epoch"].values.tolist() == [1, 3]
    assert without.dataset.drop_attrs().identical(with_probes.dataset.drop_attrs())
    for one, other in zip(without.members, with_probes.members, strict=True):
        for ours, theirs in zip(one._state, other._state, strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.thorough
def test_the_loop_sees_what_the_population_sees(rows):
    x, y = rows
    layers = (partial(L.Dense, 7, "relu"), L.BatchNormalization, partial(L.Dropout, 0.3), partial(L.Dense, 1))
    rate = keras.callbacks.LearningRateScheduler(lambda epoch: 0.1 / (1 + epoch))
    fit = partial(caviar.fit, of(sgd, *layers), x, y, seeds=[5, 9], folds=2, epochs=3, verbose=0, probes=1)
    together, alone = fit(callbacks=[rate]).probes, fit(callbacks=[rate], engine="loop").probes
    assert together.attrs == alone.attrs
    for name in together.data_vars:
        assert together[name].attrs == alone[name].attrs
        if name != "noise_scale":  # a ratio of small differences
            np.testing.assert_allclose(together[name], alone[name], rtol=1e-3, atol=1e-5, err_msg=name)
    assert float(np.abs(together["update_ratio"].diff("epoch")).max()) > 0


@pytest.mark.thorough
def test_dead_units_are_counted_in_their_layer(rows):
    """Some units have a bias that nothing overcomes."""
    x, y = rows
    for dead in (0, 3, 8):
        bias = np.array([-1e4] * dead + [1.0] * (8 - dead))
        layers = (
            partial(L.Dense, 8, "relu", bias_initializer=partial(fixed, bias)),
            partial(L.Dense, 6, "relu", bias_initializer="ones"),
            partial(L.Dense, 1),
        )
        seen = probed(of(sgd, *layers), x, y)
        np.testing.assert_allclose(seen["dead"].sel(layer="dense"), dead / 8)
        assert (seen["dead"].sel(layer="dense_1") < 1).all()
        assert np.isnan(seen["dead"].sel(layer="dense_2")).all()
        assert "dense_2: its activation (linear)" in seen["dead"].attrs["not_available"]


def fixed(values, shape, dtype=None):  # noqa: ARG001 - as initializers are called
    return keras.ops.convert_to_tensor(values, dtype)


@pytest.mark.parametrize(
    ("activation", "bounded"),
    [
        *((name, True) for name in ("tanh", "sigmoid", "softsign", "hard_sigmoid", "hard_tanh")),
        *((name, False) for name in ("relu", "softplus")),
    ],
)
@pytest.mark.parametrize("apart", [False, True])
def test_saturated_outputs_are_those_near_the_ends_of_a_range(rows, activation, bounded, apart):
    """Whether the activation is an argument or a layer of its own."""
    x, y = rows
    init = {"kernel_initializer": keras.initializers.RandomNormal(stddev=20.0)}
    layers = (
        (partial(L.Dense, 50, **init), partial(L.Activation, activation))
        if apart
        else (partial(L.Dense, 50, activation, **init),)
    )
    build = of(sgd, *layers, partial(L.Dense, 1))
    seen = probed(build, x, y)["saturated"].sel(layer="activation" if apart else "dense")
    assert np.isnan(seen).all() != bounded
    if bounded:
        first = alone(build, 3)
        out = np.asarray(keras.Model(first.inputs[0], first.layers[1 if apart else 0].output)(x[:32]))
        low, high = (0, 1) if "sigmoid" in activation else (-1, 1)
        share = ((out < low + 0.025 * (high - low)) | (out > high - 0.025 * (high - low))).mean()
        assert 0 < share < 1
        assert float(seen[0, 0]) == pytest.approx(share, abs=1e-6)


def test_huge_weights_saturate_a_tanh_layer(rows):
    x, y = rows
    huge = partial(L.Dense, 9, "tanh", kernel_initializer=keras.initializers.RandomNormal(stddev=1e5))
    seen = probed(of(sgd, huge, partial(L.Dense, 3, "tanh"), partial(L.Dense, 1)), x, y)
    assert (seen["saturated"].sel(layer="dense") > 0.99).all()
    assert (seen["saturated"].sel(layer="dense_1") < 0.99).all()


def test_activation_layers_are_rows_and_leaky_ones_never_die(rows):
    x, y = rows
    layers = (
        partial(L.Dense, 8, bias_initializer=partial(fixed, np.full(8, -1e4))),
        L.LeakyReLU,
        L.ReLU,
        partial(L.Dense, 1),
    )
    seen = probed(of(sgd, *layers), x, y)
    assert seen["layer"].values.tolist() == ["dense", "leaky_re_lu", "re_lu", "dense_1"]
    assert (seen["dead"].sel(layer="re_lu") == 1).all()
    assert np.isnan(seen["dead"].sel(layer="leaky_re_lu")).all()
    assert np.isnan(seen["gradient_norm"].sel(layer="re_lu")).all()
    assert "re_lu: it has no trainable weights" in seen["gradient_norm"].attrs["not_available"]


def test_the_noise_scale_has_the_closed_form_of_a_noisy_mean():
    """The gradient of (w - y)² at w = 0 is -2 y: its signal is 4 µ², its noise 4 σ²."""
    rng = np.random.default_rng(0)
    y = (0.5 + rng.normal(size=(64 * 512, 1))).astype(np.float32)
    x = np.ones((len(y), 5), np.float32) / np.sqrt(5, dtype=np.float32)

    def build():
        model = keras.Sequential([keras.Input((5,)), L.Dense(1, use_bias=False, kernel_initializer="zeros")])
        model.compile(keras.optimizers.SGD(0.0), "mse")
        return model

    seats = [
        replace(seat, fit=np.arange(64 * i, 64 * (i + 1))) for i, seat in enumerate(members(*range(512)))
    ]
    job = Job(build, x[None], y[None], None, seats, 32, 1, probe=1)
    seen = train(job).probes
    assert float(seen["gradient_signal"].mean()) == pytest.approx(4 * 0.5**2, rel=0.1)
    assert float(seen["gradient_noise"].mean()) == pytest.approx(4.0, rel=0.1)
    ratio = seen["gradient_noise"] / seen["gradient_signal"]
    good = seen["gradient_signal"].values > 0
    np.testing.assert_array_equal(seen["noise_scale"].values[good], ratio.values[good])
    assert np.isnan(seen["noise_scale"].values[~good]).all()


def test_signal_and_noise_invert_the_law_of_batches():
    for batch, other in ((8, 64), (1, 2)):
        signal, noise = signal_and_noise(3 + 20 / other, 3 + 20 / batch, other, batch)
        assert (float(signal), float(noise)) == pytest.approx((3, 20))


def test_a_single_batch_has_no_noise_scale_and_says_so(rows):
    x, y = rows
    seen = probed(plain(), x, y, batch=64)
    assert np.isnan(seen["noise_scale"]).all()
    assert "no two full batches" in seen["noise_scale"].attrs["not_available"]
    assert np.isfinite(seen["gradient_norm"]).all()


def test_a_planted_spike_is_counted_in_its_member_only():
    rng = np.random.default_rng(1)
    fall = 2 * np.exp(-np.arange(60) / 8) + 0.05 * rng.uniform(size=(3, 60)) - 5  # losses may be negative
    fall[1, 20] += 3
    fall[2, [15, 40, 41]] += 3
    fall[0, 50:] = np.nan
    assert loss_spikes(fall).tolist() == [0, 1, 2]


def test_noise_around_a_plateau_is_no_spike():
    """A hundred thousand epochs of noise, and as many of a loss that wanders."""
    noise = np.random.default_rng(0).normal(size=(500, 200))
    assert loss_spikes(noise).sum() <= 10
    assert loss_spikes(noise.cumsum(axis=1)).sum() <= 10


@pytest.mark.thorough
def test_a_spike_is_counted_in_the_recorded_losses(rows):
    """A rate that shoots up once lifts the losses of all members."""
    x, y = rows
    rate = keras.callbacks.LearningRateScheduler(lambda epoch: 3.0 if epoch == 12 else 0.01)
    fit = partial(caviar.fit, plain(), x, y, epochs=20, seeds=3, verbose=0, probes=5)
    assert (fit(callbacks=[rate]).probes["loss_spikes"] >= 1).all()
    assert (fit().probes["loss_spikes"] == 0).all()


class OwnStep(keras.Model):
    """Its step follows twice the gradient of the compiled loss, and hands that to the optimizer."""

    def __init__(self, hands=True):
        super().__init__()
        self.inner, self.last, self.hands = L.Dense(4, keras.activations.relu), L.Dense(1), hands

    def call(self, x):
        return self.last(self.inner(x))

    def train_step(self, state, data):
        trainable, rest, optimizer, metrics = state
        loss_of = lambda w: self.compute_loss_and_updates(w, rest, metrics, *data, None, True, optimizer)[0]  # noqa: E731
        loss, found = jax.value_and_grad(loss_of)(trainable)
        found = [2 * g for g in found]
        if self.hands:
            trainable, optimizer = self.optimizer.stateless_apply(optimizer, found, trainable)
        else:
            trainable = [w - 0.1 * g for w, g in zip(trainable, found, strict=True)]
        return {"loss": loss}, (trainable, rest, optimizer, metrics)


def own_step(hands):
    model = OwnStep(hands)
    model.compile(keras.optimizers.SGD(0.1), "mse")
    return model


def test_a_train_step_of_ones_own_is_followed_not_the_compiled_loss(rows):
    """Subclassed, too: layers are seen as they are called."""
    x, y = rows
    seen = probed(partial(own_step, hands=True), x, y, seeds=(3,))
    first = alone(partial(own_step, hands=True), 3)
    first(x[:1])
    weights = first.get_weights()
    loss = lambda w: ((jax.nn.relu(x[:32] @ w[0] + w[1]) @ w[2] + w[3] - y[:32]) ** 2).mean()  # noqa: E731
    found = jax.grad(loss)([np.asarray(w) for w in weights])
    assert float(seen["gradient_norm"].sel(layer="dense_1")[0, 0]) == pytest.approx(
        2 * norm(found[2:]), rel=1e-4
    )
    assert np.isfinite(seen["dead"].sel(layer="dense")).all()
    assert np.isfinite(seen["activation_mean"]).all()


def test_a_train_step_that_hides_its_gradients_is_not_available_and_never_zero(rows):
    x, y = rows
    seen = probed(partial(own_step, hands=False), x, y)
    for name in ("gradient_norm", "gradient_signal", "gradient_noise", "noise_scale"):
        assert np.isnan(seen[name]).all()
        assert seen[name].attrs["not_available"]
    assert "own train_step" in seen["gradient_norm"].attrs["not_available"]
    assert (seen["update_ratio"] > 0).all()


@pytest.mark.thorough
def test_frozen_layers_have_no_gradient_but_weights(rows):
    x, y = rows
    layers = (partial(L.Dense, 7, "relu", trainable=False), partial(L.Dense, 1))
    seen = probed(of(sgd, *layers), x, y)
    for name in ("gradient_norm", "update_ratio"):
        assert np.isnan(seen[name].sel(layer="dense")).all()
        assert np.isfinite(seen[name].sel(layer="dense_1")).all()
        assert seen[name].attrs["not_available"] == "dense: its weights are frozen"
    assert (seen["weight_norm"].sel(layer="dense") > 0).all()


@pytest.mark.thorough
@pytest.mark.parametrize(("policy", "near"), [("mixed_bfloat16", 0.02), ("mixed_float16", 0.005)])
def test_half_precision_is_measured_with_loss_scaling_undone(rows, policy, near):
    x, y = rows

    def build(dtype):
        layers = [L.Dense(7, "relu", dtype=dtype), L.Dense(1, dtype=dtype)]
        model = keras.Sequential([keras.Input((5,)), *layers])
        optimizer = keras.optimizers.SGD(0.1)
        if dtype == "mixed_float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=64.0)
        model.compile(optimizer, "mse")
        return model

    half, whole = (probed(partial(build, dtype), x, y) for dtype in (policy, "float32"))
    for name in ("gradient_norm", "weight_norm", "update_ratio", "activation_std"):
        np.testing.assert_allclose(half[name], whole[name], rtol=near)


def test_accumulated_gradients_have_no_update_of_one_step(rows):
    x, y = rows
    build = of(partial(keras.optimizers.SGD, 0.1, gradient_accumulation_steps=2), partial(L.Dense, 1))
    seen = probed(build, x, y)
    assert np.isnan(seen["update_ratio"]).all()
    assert "accumulated" in seen["update_ratio"].attrs["not_available"]
    assert (seen["gradient_norm"] > 0).all()


@pytest.mark.thorough
def test_several_inputs_and_outputs_are_probed(rows):
    x, y = rows

    def build():
        a, b = keras.Input((5,), name="a"), keras.Input((2,), name="b")
        hidden = L.Dense(4, "relu", name="hidden")(L.Concatenate()([a, b]))
        outputs = {"p": L.Dense(1, name="p")(hidden), "q": L.Dense(2, name="q")(hidden)}
        model = keras.Model({"a": a, "b": b}, outputs)
        model.compile("sgd", {"p": "mse", "q": "mae"})
        return model

    seen = probed(build, {"a": x, "b": x[:, :2]}, {"p": y, "q": x[:, :2]})
    assert set(seen["layer"].values.tolist()) == {"hidden", "p", "q"}
    assert (seen["gradient_norm"] > 0).all()


@pytest.mark.thorough
def test_a_recurrent_layer_is_one_row_whose_activations_stay_hidden():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(64, 6, 5)).astype(np.float32), rng.normal(size=(64, 1)).astype(np.float32)

    def build():
        model = keras.Sequential([keras.Input((6, 5)), L.LSTM(4), L.Dense(1)])
        model.compile("adam", "mse")
        return model

    seen = probed(build, x, y)
    assert seen["layer"].values.tolist() == ["lstm", "dense"]
    assert (seen["gradient_norm"] > 0).all()
    assert (seen["activation_std"] > 0).all()
    assert "lstm: its activations are computed inside a loop" in seen["saturated"].attrs["not_available"]


class Scanned(keras.layers.Layer):
    """A layer inside a loop: values of one round mean nothing outside."""

    def __init__(self):
        super().__init__()
        self.inner = L.Dense(5, "relu")

    def build(self, shape):
        self.inner.build(shape)

    def call(self, x):
        return keras.ops.scan(lambda carry, _: (self.inner(carry), None), x, length=3)[0]


@pytest.mark.thorough
def test_a_layer_inside_a_loop_is_not_available_and_says_so(rows):
    x, y = rows
    seen = probed(of(sgd, Scanned, partial(L.Dense, 1)), x, y)
    for name in ("activation_mean", "activation_std", "dead"):
        assert np.isnan(seen[name].sel(layer="dense")).all()
        assert "dense: it runs inside a loop" in seen[name].attrs["not_available"]
    assert (seen["gradient_norm"].sel(layer="dense") > 0).all()


@pytest.mark.thorough
def test_recipes_with_other_layers_are_joined_and_lifted_numbers_count(rows):
    """Two recipes differ in a momentum only: they share a program, and each one's steps are its own."""
    x, y = rows

    def build(units=4, momentum=0.5, deep=False):
        layers = [L.Dense(units, "relu"), *([L.Dense(3, "tanh", name="deep")] if deep else []), L.Dense(1)]
        model = keras.Sequential([keras.Input((5,)), *layers])
        model.compile(keras.optimizers.SGD(0.1, momentum=momentum), "mse")
        return model

    recipes = {"slow": {}, "fast": {"momentum": 0.9}, "deep": {"deep": True}}
    history = caviar.fit(build, x, y, recipes=recipes, epochs=3, probes=1, verbose=0)
    assert history.attrs["populations"] == 2
    seen = history.probes
    assert seen["recipe"].values.tolist() == ["slow", "fast", "deep"]
    assert set(seen["layer"].values.tolist()) == {"dense", "dense_1", "deep"}
    assert np.isnan(seen["weight_norm"].sel(layer="deep")).values[:, 0].tolist() == [True, True, False]
    for i, (name, changes) in enumerate(recipes.items()):
        lone = caviar.fit(partial(build, **changes), x, y, epochs=3, probes=1, verbose=0).probes
        for layer in lone["layer"].values:
            np.testing.assert_allclose(
                seen["update_ratio"].sel(layer=layer)[i],
                lone["update_ratio"].sel(layer=layer)[0],
                rtol=1e-4,
                err_msg=f"{name} {layer}",
            )
    assert not np.allclose(seen["update_ratio"][0, 2], seen["update_ratio"][1, 2], rtol=0.05, equal_nan=True)


@pytest.mark.thorough
def test_layers_keep_the_names_that_their_recipes_gave_them(rows):
    """Names are no structure, so the recipes could share a program; then one's layers would bear the other's."""
    x, y = rows

    def build(name):
        model = keras.Sequential([keras.Input((5,)), L.Dense(1, name=name)])
        model.compile("sgd", "mse")
        return model

    seen = caviar.fit(build, x, y, recipes={n: {"name": n} for n in "ab"}, probes=1, verbose=0).probes
    assert [
        seen["layer"].values[int(np.flatnonzero(~np.isnan(m))[0])] for m in seen["weight_norm"][:, 0]
    ] == ["a", "b"]


@pytest.mark.thorough
def test_members_that_have_stopped_are_not_probed(rows):
    x, y = rows
    stop = keras.callbacks.EarlyStopping("loss", patience=0, min_delta=10.0, start_from_epoch=2)
    seen = caviar.fit(plain(), x, y, seeds=2, epochs=6, callbacks=[stop], probes=1, verbose=0)
    trained = ~np.isnan(seen.dataset["loss"].values)
    assert not trained.all()
    np.testing.assert_array_equal(
        ~np.isnan(seen.probes["weight_norm"].values[:, :, 0]), trained[:, : seen.probes.sizes["epoch"]]
    )


@pytest.mark.thorough
def test_epochs_count_from_the_first_that_is_trained(rows):
    x, y = rows
    seen = caviar.fit(plain(), x, y, epochs=9, initial_epoch=2, probes=3, verbose=0).probes
    assert seen["epoch"].values.tolist() == [3, 6, 9]


@pytest.mark.thorough
def test_how_often_follows_from_the_steps_of_an_epoch(rows):
    x, y = rows
    for batch, every in ((32, 25), (1, 1)):
        job = Job(plain(), x[None], y[None], None, members(1), batch, 1)
        assert seldom_enough([job]) == every
    seen = caviar.fit(plain(), x, y, epochs=26, probes=True, verbose=0).probes
    assert seen["epoch"].values.tolist() == [1, 26]


def test_a_sample_has_at_most_256_rows_of_each_batch():
    assert make_sample([1000], 700, 1, 0).rows == 256


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "yes", None])
def test_what_cannot_be_meant_by_probes_is_one_sentence(rows, wrong):
    with pytest.raises(OptionError, match="Expected probes to be True, False or a number"):
        caviar.fit(plain(), *rows, probes=wrong, verbose=0)


def test_nothing_probed_is_nothing():
    assert join([("a", None)]) is None


@pytest.mark.thorough
def test_members_branch_together_so_that_epochs_without_a_probe_cost_nothing(rows):
    """Under `vmap` a condition of each member's own would become a selection that computes both sides."""
    x, y = rows
    model = alone(plain(), 3)
    ready(model, (x, y))
    state = tuple([np.asarray(v.value)[None] for v in group] for group in variables(model))
    one = jax.tree.map(lambda a: a[0], state)
    probe = make_probe(model, one, {}, (x, y), make_sample([64], 32, 2, 0))

    def epoch(state, number):
        return probe.sometimes(number, (state, {}), np.arange(64), lambda rows: (x[rows], y[rows]))

    def text(axes):
        numbers = np.int32(1) if axes[1] is None else np.ones(1, np.int32)
        return jax.jit(jax.vmap(epoch, axes)).lower(state, numbers).compile().as_text()

    assert "conditional(" in text((0, None))
    assert "conditional(" not in text((0, 0))
