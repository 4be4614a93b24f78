"""Remedies of the network and its weights: what each changes, and that a population trains what Keras' fit trains."""

import math
import subprocess
import sys
from dataclasses import replace

import keras
import numpy as np
import pytest

from caviar.population.job import Job, Seat
from caviar.population.train import train
from caviar.recipe.layers import NoisyDense, PeriodicEmbedding, PiecewiseLinear
from caviar.recipe.recipe import Recipe
from caviar.remedies.contract import NotApplicable
from caviar.remedies.rewrite import is_chain
from tests.population.conftest import assert_equals_fit, fit_alone
from tests.remedies.test_remedies import (
    INPUTS,
    ROWS,
    compiled,
    deep,
    functional,
    kinds,
    own_loss,
    recipe_of,
    remedy,
    sequential,
    subclassed,
)

L = keras.layers
SCALED = {
    "dropout-inputs",
    "dropout-both",
    "dropout-recommended",
    "periodic-embedding",
    "piecewise-embedding",
}


def dropping(rate: float = 0.75) -> keras.Model:
    """The first hidden layer is followed by dropout, behind its activation; the second is not."""
    first = [L.Dense(4), L.Activation("tanh"), L.Dropout(rate)]
    model = keras.Sequential([keras.Input((INPUTS,)), *first, L.Dense(6, "relu"), L.Dense(1)])
    model.compile(keras.optimizers.SGD(0.004, momentum=0.5), own_loss)
    return model


def normalised(momentum: float = 0.9) -> keras.Model:
    """Batches of three rows: what is normalised over them moves about."""
    layers = [L.Dense(4, "tanh"), L.BatchNormalization(momentum=momentum), L.Dense(1)]
    return compiled(keras.Sequential([keras.Input((INPUTS,)), *layers]))


def applied(name: str, builder, **fields) -> Recipe:
    fields.setdefault("scaling", "robust" if name in SCALED else "none")
    return remedy(name).apply(recipe_of(builder, n_rows=ROWS, **fields))


def changed(name: str, builder, **fields) -> keras.Model:
    return applied(name, builder, **fields).build(INPUTS, 1)()


def job_of(recipe: Recipe, epochs: int = 2) -> Job:
    """A member whose last batch is short."""
    x = np.random.default_rng(0).normal(size=(ROWS, INPUTS)).astype(np.float32)
    rows = np.arange(ROWS, dtype=np.int32)
    seat = Seat(0, 0, 3, 0, rows[:14], rows[:0], rows[14:])
    target = np.sin(x[:, :1])
    return Job(recipe.build(INPUTS, 1), x[None], target[None], None, [seat], 8, epochs)


EQUAL = [
    ("layer-normalization", functional),
    ("batch-normalization-after", sequential),
    ("dropout-recommended", sequential),
    ("weight-decay", functional),
    ("weight-noise", functional),
    ("periodic-embedding", functional),
    ("piecewise-embedding", functional),
    ("settled-statistics", normalised),
    ("shallower", deep),
]


@pytest.mark.thorough
@pytest.mark.parametrize(("name", "builder"), EQUAL, ids=[name for name, _ in EQUAL])
def test_a_population_trains_what_fit_trains(name, builder):
    job = job_of(applied(name, builder))
    trained = train(job)
    assert trained.engine == "population", trained.why
    assert_equals_fit(job, trained, 0)


def test_the_average_of_the_weights_is_handed_over():
    """It is the one that Keras keeps, and far from the last weights; its reach follows from the number of updates."""
    averaged, last = (
        job_of(recipe, 30) for recipe in (applied("weight-averaging", sequential), recipe_of(sequential))
    )
    ours = fit_alone(averaged, averaged.seats[0])
    assert np.abs(ours.outputs - fit_alone(last, last.seats[0]).outputs).max() > 1e-3
    np.testing.assert_allclose(train(averaged).outputs[0], ours.outputs, atol=1e-5)
    assert changed("weight-averaging", sequential).optimizer.ema_momentum == 0.9  # of 30 updates, the least
    recipe = remedy("weight-averaging").apply(recipe_of(sequential, n_rows=8_000))
    assert recipe.build(INPUTS, 1)().optimizer.ema_momentum == pytest.approx(1 - 1 / 1_000)


def test_an_average_is_refused_where_something_else_decides_which_weights_are_handed_over():
    stopping = keras.callbacks.EarlyStopping(restore_best_weights=True)
    with pytest.raises(NotApplicable, match="weights of one epoch"):
        changed("weight-averaging", sequential, callbacks=(stopping,))
    with pytest.raises(NotApplicable, match="number of rows"):
        remedy("weight-averaging").apply(recipe_of(sequential))

    def averaging():
        model = sequential()
        model.compile(keras.optimizers.Adam(use_ema=True), "mse")
        return model

    with pytest.raises(NotApplicable, match="already averages"):
        changed("weight-averaging", averaging)


@pytest.mark.parametrize(
    "name",
    [
        "layer-normalization",
        "batch-normalization-after",
        "dropout-recommended",
        "dropout-both",
        "dropout-inputs",
        "dropout-width",
        "dropout-rate",
        "hidden-noise",
        "weight-noise",
        "periodic-embedding",
        "piecewise-embedding",
        "shallower",
        "half-as-wide",
        "elu",
        "mish",
    ],
)
def test_layers_of_a_subclassed_model_cannot_be_changed(name):
    with pytest.raises(NotApplicable, match="subclassed"):
        changed(name, subclassed)


@pytest.mark.parametrize("name", ["l1", "l1-l2", "weight-decay", "weight-averaging"])
def test_what_needs_no_layers_works_on_a_subclassed_model_too(name):
    assert changed(name, subclassed).compiled


def test_layer_normalization_stands_between_sums_and_activation_in_place_of_the_bias():
    model = changed("layer-normalization", sequential)
    assert kinds(model)[1:] == ["Dense", "LayerNormalization", "Activation", "Dense"]
    assert model.layers[1].bias is None
    row = np.ones((1, INPUTS), np.float32)
    sums = keras.Model(model.inputs[0], model.layers[2].output)(row)
    assert float(np.mean(sums)) == pytest.approx(0, abs=1e-5)


def test_layer_normalization_of_a_single_unit_is_refused():
    def narrow():
        return compiled(keras.Sequential([keras.Input((INPUTS,)), L.Dense(1, "relu"), L.Dense(1)]))

    with pytest.raises(NotApplicable, match="single unit"):
        changed("layer-normalization", narrow)


def test_batch_normalization_can_stand_behind_the_activation():
    model = changed("batch-normalization-after", sequential)
    assert kinds(model)[1:] == ["Dense", "BatchNormalization", "Dense"]
    assert model.layers[1].activation is keras.activations.relu
    assert model.layers[1].bias is not None
    before = [
        type(node.parent_nodes[0].operation).__name__
        for layer in changed("batch-normalization-after", functional).layers
        if isinstance(layer, L.BatchNormalization)
        for node in layer._inbound_nodes
    ]
    assert sorted(before) == ["Activation", "Dense"]


def test_inputs_are_dropped_where_zero_is_the_middle_of_their_values():
    model = changed("dropout-inputs", sequential)
    assert kinds(model)[1:] == ["Dropout", "Dense", "Dense"]
    assert model.layers[1].rate == 0.2

    def scaling():
        scale = L.Normalization()
        scale.adapt(np.arange(9.0).reshape(3, 3))
        return compiled(keras.Sequential([keras.Input((INPUTS,)), scale, L.Dense(4, "relu"), L.Dense(1)]))

    assert kinds(changed("dropout-both", scaling, scaling="none"))[1:] == [
        *("Normalization", "Dropout", "Dense", "Dropout", "Dense")
    ]
    with pytest.raises(NotApplicable, match="not scaled"):
        changed("dropout-inputs", sequential, scaling="none")


def test_dropout_comes_with_all_that_its_authors_recommend():
    model = changed("dropout-recommended", sequential)
    assert kinds(model)[1:] == ["Dropout", "Dense", "Dropout", "Dense"]
    assert [layer.rate for layer in model.layers if isinstance(layer, L.Dropout)] == [0.2, 0.5]
    hidden = model.layers[2]
    assert hidden.units == 10
    assert hidden.kernel_constraint.max_value == 3
    assert float(model.optimizer.learning_rate) == pytest.approx(
        0.1
    )  # 0.03 times 10 would be beyond the bound
    assert model.optimizer.momentum == 0.95
    assert model.optimizer.nesterov


def test_with_another_optimizer_dropout_goes_without_momentum():
    def adam():
        model = sequential()
        model.compile(keras.optimizers.Adam(1e-4), own_loss)
        return model

    model = changed("dropout-recommended", adam)
    assert float(model.optimizer.learning_rate) == pytest.approx(1e-3)
    with pytest.raises(NotApplicable, match="not SGD"):
        changed("momentum-0.95", adam)


def test_each_recommendation_can_be_had_alone():
    assert [
        layer.units for layer in changed("dropout-width", dropping).layers if isinstance(layer, L.Dense)
    ] == [*(16, 6, 1)]
    assert float(changed("dropout-rate", dropping).optimizer.learning_rate) == pytest.approx(0.04)
    assert changed("momentum-0.95", dropping).optimizer.momentum == 0.95
    for name in ("dropout-width", "dropout-rate"):
        with pytest.raises(NotApplicable, match="no dropout"):
            changed(name, sequential)


def test_a_rate_that_is_high_already_is_not_raised():
    def fast():
        model = dropping()
        model.compile(keras.optimizers.SGD(0.2), own_loss)
        return model

    with pytest.raises(NotApplicable, match=r"already 0\.2"):
        changed("dropout-rate", fast)


@pytest.mark.parametrize(("name", "l1", "l2"), [("l1", 1e-4, 0.0), ("l1-l2", 1e-4, 1e-3)])
def test_penalties_add_sizes_and_squares_of_the_kernels(name, l1, l2):
    model = changed(name, functional)
    kernels = [np.asarray(v) for v in model.trainable_variables if v.name == "kernel"]
    expected = sum(l1 * np.abs(k).sum() + l2 * (k**2).sum() for k in kernels)
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-5)
    with pytest.raises(NotApplicable, match="free of a regularizer"):
        remedy(name).apply(applied(name, functional)).build(INPUTS, 1)()


def test_decay_shrinks_weights_that_have_no_gradient():
    model = changed("weight-decay", sequential)
    before = [np.asarray(v) for v in model.trainable_variables]
    zeros = [keras.ops.zeros(v.shape) for v in model.trainable_variables]
    model.optimizer.apply(zeros, model.trainable_variables)
    for variable, value in zip(model.trainable_variables, before, strict=True):
        np.testing.assert_allclose(np.asarray(variable), value * (1 - 0.1 * 0.03), rtol=1e-5)
    with pytest.raises(NotApplicable, match="already decays"):
        remedy("weight-decay").apply(applied("weight-decay", sequential)).build(INPUTS, 1)()


def test_noise_stands_behind_every_hidden_layer():
    assert kinds(changed("hidden-noise", sequential))[1:] == ["Dense", "GaussianNoise", "Dense"]
    assert kinds(changed("hidden-noise", functional)).count("GaussianNoise") == 2


def test_noise_on_weights_has_the_size_it_names_and_only_while_training():
    keras.utils.set_random_seed(0)
    layer = NoisyDense(400, deviation=0.5, use_bias=False)
    row = np.eye(1, 300, dtype=np.float32)
    plain = np.asarray(layer(row))
    np.testing.assert_allclose(plain, np.asarray(layer.kernel)[:1], rtol=1e-6)
    drawn = [np.asarray(layer(row, training=True)) - plain for _ in range(2)]
    assert np.std(drawn[0]) == pytest.approx(0.5, rel=0.1)
    assert abs(np.corrcoef(drawn[0], drawn[1])[0, 1]) < 0.2
    assert kinds(changed("weight-noise", sequential))[1:] == ["NoisyDense", "NoisyDense"]


def test_an_embedding_knows_each_input_by_waves_of_its_own():
    """By hand, from the layer's weights; and what one input says does not depend on the others."""
    keras.utils.set_random_seed(0)
    layer = PeriodicEmbedding(frequencies=3, width=2, deviation=1.0)
    x = np.random.default_rng(0).normal(size=(4, INPUTS)).astype(np.float32)
    said = np.asarray(layer(x)).reshape(4, INPUTS, 2)
    frequency, mixing = np.asarray(layer.frequency), np.asarray(layer.mixing)
    for i in range(INPUTS):
        angles = 2 * np.pi * x[:, i : i + 1] * frequency[i]
        waves = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
        np.testing.assert_allclose(said[:, i], np.maximum(waves @ mixing[i], 0), atol=1e-5)
    assert (said > 0).any()


def test_bins_are_passed_one_after_the_other_and_hold_equal_shares():
    """Of normal numbers, as many end in each of the eight bins; the outermost go on for ever."""
    rows = np.sort(np.random.default_rng(0).normal(size=4000))[:, None].astype(np.float32)
    passed = keras.ops.convert_to_numpy(PiecewiseLinear(8)(rows))
    inside = ((passed > 0) & (passed < 1))[:, 1:-1].mean(axis=0)
    np.testing.assert_allclose(inside, 1 / 8, atol=0.02)
    assert (np.diff(passed, axis=0) >= 0).all()
    far = keras.ops.convert_to_numpy(PiecewiseLinear(8)(np.float32([[-9.0], [9.0]])))
    assert far[0, 0] < -1
    assert far[1, -1] > 1
    assert (far[0, 1:] == 0).all()
    assert (far[1, :-1] == 1).all()


def test_bins_are_those_of_ranks():
    assert applied("piecewise-embedding", functional).preparation.scaling == "quantile"
    assert isinstance(changed("piecewise-embedding", functional).layers[1], PiecewiseLinear)
    with pytest.raises(NotApplicable, match="not scaled"):
        changed("piecewise-embedding", functional, scaling="none")


@pytest.mark.thorough
def test_statistics_settle_to_those_of_the_final_weights_on_all_training_rows():
    """Weights stand still for the added epochs; the means are then those of all rows, as far as a memory reaches."""
    recipe = applied("settled-statistics", lambda: normalised(0.99))
    added = recipe.epochs - 10
    assert added == math.ceil(500 / math.ceil(ROWS / 8))
    job = replace(job_of(recipe, recipe.epochs), callbacks=recipe.callbacks)
    half = replace(
        job_of(recipe, 10 + added // 2), callbacks=recipe.callbacks
    )  # momentum has run out by then
    (kernel, bias, *_), (mean, *_), _ = train(job).states[0]
    np.testing.assert_allclose(kernel, train(half).states[0][0][0], atol=1e-6)
    rows = job.x[0][job.seats[0].fit]
    np.testing.assert_allclose(mean, np.tanh(rows @ kernel + bias).mean(axis=0), atol=0.02)


def test_statistics_that_others_would_change_again_do_not_settle():
    for callback in (keras.callbacks.EarlyStopping(), keras.callbacks.ReduceLROnPlateau()):
        with pytest.raises(NotApplicable, match="callback"):
            applied("settled-statistics", normalised, callbacks=(callback,))
    with pytest.raises(NotApplicable, match="no batch normalization"):
        changed("settled-statistics", functional)
    with pytest.raises(NotApplicable, match="remembers"):
        changed("settled-statistics", lambda: normalised(0.999))


def test_early_stopping_does_not_undo_an_average():
    averaged = applied("weight-averaging", sequential)
    with pytest.raises(NotApplicable, match="averaged"):
        remedy("early-stopping").apply(averaged).build(INPUTS, 1)()


def test_embeddings_stand_before_all_layers_and_want_scaled_inputs():
    model = changed("periodic-embedding", functional)
    assert isinstance(model.layers[1], PeriodicEmbedding)
    assert model.layers[1].output.shape == (None, 8 * INPUTS)
    assert model.loss is own_loss
    with pytest.raises(NotApplicable, match="not scaled"):
        changed("periodic-embedding", functional, scaling="none")


@pytest.mark.thorough
def test_a_model_with_layers_of_ours_loads_in_a_fresh_process_without_running_code(tmp_path):
    recipe = remedy("weight-noise").apply(applied("periodic-embedding", sequential))
    model = recipe.build(INPUTS, 1)()
    model.save(tmp_path / "network.keras")
    x = np.ones((2, INPUTS), np.float32)
    program = (
        "import sys, pathlib\nfrom caviar.population import devices\ndevices.start()\n"
        "from caviar.model.finished import _load_network\nimport numpy as np\n"
        "model = _load_network(pathlib.Path(sys.argv[1]), 'network.keras')\n"
        f"print(np.asarray(model(np.ones((2, {INPUTS}), np.float32))).ravel().tolist())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=True
    )
    said = [float(text) for text in done.stdout.strip().strip("[]").split(",")]
    np.testing.assert_allclose(said, np.asarray(model(x)).ravel(), rtol=1e-6)


def test_the_last_hidden_layer_goes_with_all_that_stands_behind_it():
    model = changed("shallower", deep)
    assert kinds(model)[1:] == ["Dense", "Dense"]
    assert [layer.units for layer in model.layers[1:]] == [5, 1]
    assert model.loss is own_loss
    with pytest.raises(NotApplicable, match="only one hidden layer"):
        changed("shallower", sequential)
    with pytest.raises(NotApplicable, match="no simple chain"):
        changed("shallower", functional)
    assert is_chain(deep())
    assert not is_chain(functional())


def test_widths_and_activations_are_those_that_remedies_name():
    assert [layer.units for layer in changed("half-as-wide", sequential).layers] == [2, 1]
    for name in ("elu", "mish"):
        hidden, last = changed(name, sequential).layers
        assert hidden.activation is getattr(keras.activations, name)
        assert isinstance(hidden.kernel_initializer, keras.initializers.HeNormal)
        assert last.activation is keras.activations.linear


@pytest.mark.thorough
def test_remedies_follow_one_another_in_the_order_of_the_table():
    names = ("half-as-wide", "periodic-embedding", "dropout-both", "l1-l2", "weight-noise")
    recipe = recipe_of(functional, scaling="robust", n_rows=ROWS)
    for name in (*names, "layer-normalization", "weight-averaging"):
        recipe = remedy(name).apply(recipe)
    found = kinds(recipe.build(INPUTS, 1)())
    expected = {"NoisyDense": 3, "Dropout": 3, "LayerNormalization": 2, "PeriodicEmbedding": 1}
    assert {kind: found.count(kind) for kind in expected} == expected
    job = job_of(recipe)
    assert_equals_fit(job, train(job), 0)


def test_an_ensemble_is_not_bagged_again():
    recipe = applied("bagging-10", sequential)
    assert (recipe.ensemble, recipe.bootstrap) == (10, True)
    with pytest.raises(NotApplicable, match="already an ensemble"):
        applied("bagging-10", sequential, ensemble=5)
