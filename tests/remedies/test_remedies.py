"""Every remedy: makes the change it names, keeps everything else, and says where it does not apply."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from caviar.data.prepare import PreparationPlan
from caviar.population.job import Job, Seat
from caviar.population.template import build_alone
from caviar.population.train import train
from caviar.recipe.heads import link_of, network_target, predictions
from caviar.recipe.recipe import Recipe, Stage
from caviar.remedies.contract import NotApplicable, Remedy
from caviar.remedies.table import REMEDIES

L = keras.layers

VOCABULARY = set(
    """
    batch_size capacity_too_large capacity_too_small class_imbalance corrupted_labels dead_relu diverging
    double_scaling dropout_misuse epochs_too_few epochs_too_many exploding_gradient healthy hidden_activation
    init last_activation learning_rate_high learning_rate_low learning_rate_negative loss_function
    loss_reduction metric_mismatch miscalibrated missing_batchnorm missing_hidden_activation missing_last_activation
    missing_layer missing_regularisation nan_loss negative_loss no_signal not_trained optimizer
    oscillating_loss output_shape over_regularised overfitting redundant_activation saturated seed_variance
    slow_convergence symmetry target_encoding target_out_of_range train_set_too_small train_val_shift
    underfitting undersampled_signal unscaled_input unscaled_target validation_too_small vanishing_gradient
    wrong_gradient_sign
    """.split()  # noqa: SIM905 - read as the list of words it is
)
ROWS, INPUTS = 20, 3


def own_loss(y, p):
    """A loss that nobody registered with Keras."""
    return keras.ops.mean(keras.ops.square(y - p), axis=-1)


def compiled(model: keras.Model) -> keras.Model:
    optimizer = keras.optimizers.SGD(0.03, momentum=0.8, nesterov=True, clipnorm=0.5, name="own")
    model.compile(optimizer, own_loss, metrics=[keras.metrics.MeanAbsoluteError(name="mine")])
    return model


def sequential() -> keras.Model:
    return compiled(keras.Sequential([keras.Input((INPUTS,)), L.Dense(5, "relu"), L.Dense(1)]))


def functional() -> keras.Model:
    """Two hidden layers side by side, one with its activation apart, and the inputs used twice."""
    x = keras.Input((INPUTS,))
    left = L.Dense(5, "relu")(x)
    right = L.Activation("tanh")(L.Dense(4)(x))
    return compiled(keras.Model(x, L.Dense(1)(L.Concatenate()([left, right]))))


class Subclassed(keras.Model):
    """Only its own code knows the order of its layers."""

    def __init__(self):
        super().__init__()
        self.hidden, self.last = L.Dense(5, "relu"), L.Dense(1)

    def call(self, x):
        return self.last(self.hidden(x))


def subclassed() -> keras.Model:
    return compiled(Subclassed())


def ailing() -> keras.Model:
    """Everything that a remedy on demand takes away."""
    first = keras.initializers.RandomUniform(-0.01, 0.01)
    hidden = L.Dense(5, "tanh", kernel_initializer=first, kernel_regularizer=keras.regularizers.L2(0.5))
    layers = [keras.Input((INPUTS,)), hidden, L.Dropout(0.3), L.Dense(1, "sigmoid")]
    model = keras.Sequential(layers)
    model.compile(
        keras.optimizers.SGD(-0.03), own_loss, metrics=[keras.metrics.MeanAbsoluteError(name="mine")]
    )
    return model


def of_classes() -> keras.Model:
    """A classifier with Keras' own cross-entropy."""
    model = keras.Sequential([keras.Input((INPUTS,)), L.Dense(5, "relu"), L.Dense(1, "sigmoid")])
    model.compile("sgd", "binary_crossentropy", metrics=[keras.metrics.MeanAbsoluteError(name="mine")])
    return model


def sound() -> keras.Model:
    """Nothing that a remedy on demand could take away."""
    layers = [
        keras.Input((INPUTS,)),
        L.Dense(5, "relu", kernel_initializer="he_normal"),
        L.Dense(1),
    ]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.Adam(1e-3, clipnorm=1.0), "mse")
    return model


def recipe_of(builder, scaling="none", batch_size=8, **fields) -> Recipe:
    plan = PreparationPlan(scaling=scaling, scale_target=scaling != "none")
    return Recipe("baseline", "Baseline", builder, batch_size, fields.pop("epochs", 10), plan, **fields)


def ailing_recipe(builder=ailing, **fields) -> Recipe:
    known = {
        "task": "regression",
        "n_outputs": 1,
        "n_rows": ROWS,
        "lowest_target": 0.5,
        "epochs": 40,
        "tested_rate": 0.01,
        "class_errors": (0.1, 0.4),
    }
    return recipe_of(builder, batch_size=2, **known | fields)


FOR_CLASSES = {"label-smoothing", "balanced-classes", "costly-classes", "tuned-threshold", "focal-loss"}


def deep() -> keras.Model:
    """Two hidden layers in a chain, the last of them with its activation, normalization and noise apart."""
    behind = [L.BatchNormalization(), L.Activation("relu"), L.Dropout(0.1), L.GaussianNoise(0.1)]
    return compiled(
        keras.Sequential([keras.Input((INPUTS,)), L.Dense(5, "tanh"), L.Dense(4), *behind, L.Dense(1)])
    )


PATIENTS = {"shallower": deep, "settled-statistics": deep}
PATIENTS |= dict.fromkeys(("dropout-inputs", "dropout-both", "dropout-recommended"), sequential)
NEEDS_SCALED_INPUTS = {"dropout-inputs", "dropout-both", "dropout-recommended"}
NEEDS_SCALED_INPUTS |= {"periodic-embedding", "piecewise-embedding"}


def patient(r: Remedy):
    """A builder that an on-demand remedy applies to."""
    return of_classes if r.name in FOR_CLASSES else PATIENTS.get(r.name, ailing)


def treated(r: Remedy, builder) -> Recipe:
    """A recipe that a remedy applies to, changed by it."""
    if not r.on_demand:
        return r.apply(recipe_of(builder))
    fields = {"task": "binary", "lowest_target": None} if r.name in FOR_CLASSES else {}
    return r.apply(
        ailing_recipe(builder, scaling="robust" if r.name in NEEDS_SCALED_INPUTS else "none", **fields)
    )


def remedy(name: str) -> Remedy:
    return next(r for r in REMEDIES if r.name == name)


def rewritten(name: str, builder, **fields) -> keras.Model:
    """The model that a remedy makes of a builder's."""
    return remedy(name).apply(recipe_of(builder, **fields)).build(INPUTS, 1)()


def kinds(model: keras.Model) -> list[str]:
    return [type(layer).__name__ for layer in model.layers]


BUILDERS = pytest.mark.parametrize("builder", [sequential, functional], ids=["sequential", "functional"])
GENERAL = [r for r in REMEDIES if not r.on_demand]
ON_DEMAND = [r for r in REMEDIES if r.on_demand]
EVERY = pytest.mark.parametrize("remedy", REMEDIES, ids=[r.name for r in REMEDIES])
EVERY_GENERAL = pytest.mark.parametrize("remedy", GENERAL, ids=[r.name for r in GENERAL])
EVERY_ON_DEMAND = pytest.mark.parametrize("remedy", ON_DEMAND, ids=[r.name for r in ON_DEMAND])


def test_the_table_names_each_remedy_once_with_its_source_and_known_faults():
    assert len({r.name for r in REMEDIES}) == len({r.title for r in REMEDIES}) == len(REMEDIES)
    for r in REMEDIES:
        assert r.source, r.name
        assert r.what.endswith("."), r.name
        assert r.answers, r.name
        assert set(r.answers) <= VOCABULARY, r.name
        assert r.cures in {*VOCABULARY, ""}, r.name


TRAINED = [
    *((r, functional) for r in GENERAL),
    *((r, sequential) for r in GENERAL if r.family in {"dropout", "normalization"}),
    *((r, patient(r)) for r in ON_DEMAND),
]


@pytest.mark.thorough
@pytest.mark.parametrize(("remedy", "builder"), TRAINED, ids=[f"{r.name}-{b.__name__}" for r, b in TRAINED])
def test_a_changed_recipe_trains_as_a_population(remedy, builder):
    """One epoch of one member; its predictions are those of the rewritten model with its weights."""
    recipe = treated(remedy, builder)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, INPUTS)).astype(np.float32)
    rows = np.arange(ROWS, dtype=np.int32)
    seat = Seat(0, 0, 1, 0, rows[:16], rows[16:] if recipe.watches else rows[:0], rows[16:])
    job = Job(recipe.build(INPUTS, 1), x[None], x[None, :, :1], None, [seat], 8, 1, recipe.callbacks)
    trained = train(job)
    assert trained.engine == "population", trained.why
    assert np.isfinite(trained.history["loss"].values).all()
    assert "mine" in trained.history or remedy.name == "head"
    model = build_alone(job.build, job.sample(), 1)
    for group, values in zip(
        (model.trainable_variables, model.non_trainable_variables), trained.states[0][:2], strict=True
    ):
        for variable, value in zip(group, values, strict=True):
            variable.assign(value)
    np.testing.assert_allclose(trained.outputs[0], np.asarray(model(x[16:])), atol=1e-6)


NOTED = [
    *((r, builder) for r in GENERAL for builder in (sequential, functional)),
    *((r, patient(r)) for r in ON_DEMAND),
]


@pytest.mark.parametrize(("remedy", "builder"), NOTED, ids=[f"{r.name}-{b.__name__}" for r, b in NOTED])
def test_a_changed_recipe_is_noted_keeps_its_shapes_and_survives_saving(remedy, builder, tmp_path):
    recipe = treated(remedy, builder)
    assert len(recipe.changes) == 1
    x = np.random.default_rng(0).normal(size=(ROWS, INPUTS)).astype(np.float32)
    model = build_alone(recipe.build(INPUTS, 1), (x, x[:, :1]), 1)
    assert model.input_shape == (None, INPUTS)
    assert model.output_shape == (None, 1)
    model.save(tmp_path / "model.keras")
    # The loss is the person's own and not registered: a model that only predicts needs none.
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    np.testing.assert_array_equal(np.asarray(loaded(x)), np.asarray(model(x)))


@BUILDERS
@EVERY_GENERAL
def test_the_persons_compile_settings_survive(remedy, builder):
    model = remedy.apply(recipe_of(builder)).build(INPUTS, 1)()
    before = builder().optimizer.get_config()
    after = model.optimizer.get_config()
    factor = {"lower-rate": 0.1, "higher-rate": 5.0}.get(remedy.name, 1.0)
    assert after.pop("learning_rate") == pytest.approx(before.pop("learning_rate") * factor)
    assert after == before
    assert after["clipnorm"] == 0.5
    assert model.loss is own_loss
    assert model._compile_config.config["metrics"][0].name == "mine"


@pytest.mark.parametrize("name", ["dropout-0.2", "gaussian-noise", "batch-normalization"])
def test_a_schedule_of_the_persons_own_class_survives(name):
    """It has no get_config: only the very object can be kept."""

    class Halving(keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            return 0.1 * 0.5 ** keras.ops.cast(step, "float32")

    schedule = Halving()

    def build():
        model = keras.Sequential([keras.Input((INPUTS,)), L.Dense(4), L.Dense(1)])
        model.compile(keras.optimizers.Adam(schedule), "mse")
        return model

    assert rewritten(name, build).optimizer._learning_rate is schedule


@pytest.mark.parametrize("name", ["plateau-schedule", "lower-rate", "higher-rate"])
def test_a_schedule_leaves_no_rate_to_change(name):
    def build():
        model = keras.Sequential([keras.Input((INPUTS,)), L.Dense(1)])
        model.compile(keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 10)), "mse")
        return model

    with pytest.raises(NotApplicable, match="schedule of its own"):
        rewritten(name, build)


@pytest.mark.parametrize(("name", "rate"), [("dropout-0.2", 0.2), ("dropout-0.5", 0.5)])
def test_dropout_stands_behind_each_complete_hidden_layer(name, rate):
    model = rewritten(name, sequential)
    assert kinds(model)[1:] == ["Dense", "Dropout", "Dense"]
    assert model.layers[2].rate == rate
    model = rewritten(name, functional)
    behind = {
        type(node.parent_nodes[0].operation).__name__
        for layer in model.layers
        if isinstance(layer, L.Dropout)
        for node in layer._inbound_nodes
    }
    assert behind == {"Dense", "Activation"}


@pytest.mark.parametrize("activation", [L.LeakyReLU, L.PReLU, L.ELU])
def test_dropout_stands_behind_an_activation_that_is_a_layer(activation):
    def build():
        return compiled(keras.Sequential([keras.Input((INPUTS,)), L.Dense(5), activation(), L.Dense(1)]))

    assert kinds(rewritten("dropout-0.5", build))[1:] == ["Dense", activation.__name__, "Dropout", "Dense"]


@BUILDERS
def test_noise_meets_every_use_of_scaled_inputs(builder):
    """The model's answer to training rows changes, although the first layers are linear in what they get."""
    model = rewritten("gaussian-noise", builder, scaling="robust")
    noise = [layer for layer in model.layers if isinstance(layer, L.GaussianNoise)]
    assert len(noise) == 1
    assert isinstance(noise[0]._inbound_nodes[0].parent_nodes[0].operation, L.InputLayer)
    users = [
        layer
        for layer in model.layers
        for node in layer._inbound_nodes
        if any(
            parent.operation is model.layers[0]
            and node in model._nodes_by_depth[max(model._nodes_by_depth) - 1]
            for parent in node.parent_nodes
        )
    ]
    assert users == noise


def test_noise_stands_behind_the_first_hidden_layer_where_inputs_have_no_common_scale():
    assert kinds(rewritten("gaussian-noise", sequential))[1:] == ["Dense", "GaussianNoise", "Dense"]


def test_noise_leaves_codes_that_are_looked_up_alone():
    def build():
        x = keras.Input((INPUTS,), dtype="int32")
        flow = L.Dense(4, "relu")(L.Flatten()(L.Embedding(5, 2)(x)))
        return compiled(keras.Model(x, L.Dense(1)(flow)))

    with pytest.raises(NotApplicable, match="Embedding"):
        rewritten("gaussian-noise", build, scaling="robust")
    assert "GaussianNoise" in kinds(rewritten("gaussian-noise", build))


def test_batch_normalization_stands_between_sums_and_activation_and_replaces_the_bias():
    model = rewritten("batch-normalization", sequential)
    assert kinds(model)[1:] == ["Dense", "BatchNormalization", "Activation", "Dense"]
    hidden, _, activation, last = model.layers[1:]
    assert hidden.activation is keras.activations.linear
    assert hidden.bias is None
    assert len(hidden.trainable_variables) == 1
    assert activation.activation is keras.activations.relu
    assert last.bias is not None
    assert kinds(rewritten("batch-normalization", functional)).count("BatchNormalization") == 2


def test_batch_normalization_leaves_a_recurrent_layer_as_it_is():
    def build():
        x = keras.Input((INPUTS,))
        flow = L.LSTM(4)(L.Reshape((INPUTS, 1))(x))
        return compiled(keras.Model(x, L.Dense(1)(flow)))

    model = rewritten("batch-normalization", build)
    lstm = next(layer for layer in model.layers if isinstance(layer, L.LSTM))
    assert kinds(model)[-3:] == ["LSTM", "BatchNormalization", "Dense"]
    assert lstm.activation is keras.activations.tanh
    assert lstm.use_bias


@pytest.mark.parametrize("builder", [sequential, functional, subclassed])
@pytest.mark.parametrize(("name", "strength"), [("l2-0.001", 0.001), ("l2-0.01", 0.01)])
def test_l2_adds_the_squared_kernels_to_the_loss(name, strength, builder):
    """Built or not, subclassed or not: the penalty is what a person would compute by hand."""
    recipe = remedy(name).apply(recipe_of(builder))
    x = np.ones((4, INPUTS), np.float32)
    model = build_alone(recipe.build(INPUTS, 1), (x, x[:, :1]), 3)
    kernels = [v for v in model.trainable_variables if v.name == "kernel"]
    expected = strength * sum(float((np.asarray(k) ** 2).sum()) for k in kernels)
    assert len(kernels) >= 2
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-5)
    assert expected > 0


def test_l2_keeps_the_penalty_that_a_layer_has():
    own = keras.regularizers.L1(0.1)

    def build():
        layers = [keras.Input((INPUTS,)), L.Dense(4, kernel_regularizer=own), L.Dense(1)]
        return compiled(keras.Sequential(layers))

    first, last = rewritten("l2-0.01", build).layers
    assert first.kernel_regularizer is own
    assert isinstance(last.kernel_regularizer, keras.regularizers.L2)


def test_callbacks_watch_the_loss_of_rows_that_are_not_scored():
    stopping = remedy("early-stopping").apply(recipe_of(sequential))
    plateau = remedy("plateau-schedule").apply(recipe_of(sequential))
    assert isinstance(stopping.callbacks[0], keras.callbacks.EarlyStopping)
    assert stopping.callbacks[0].restore_best_weights
    assert isinstance(plateau.callbacks[0], keras.callbacks.ReduceLROnPlateau)
    assert stopping.watches
    assert plateau.watches
    assert not recipe_of(sequential).watches


def test_longer_scaling_and_ensembles_change_the_recipe_alone():
    assert remedy("longer").apply(recipe_of(sequential)).epochs == 30
    assert remedy("ensemble-5").apply(recipe_of(sequential)).ensemble == 5
    plan = remedy("scaling").apply(recipe_of(sequential)).preparation
    assert (plan.scaling, plan.scale_target) == ("robust", True)


def already_there(name: str):
    """A builder that has the layer or penalty already."""
    extra = {
        "dropout-0.2": [L.Dropout(0.1)],
        "dropout-0.5": [L.Dropout(0.1)],
        "gaussian-noise": [L.GaussianNoise(0.1)],
        "batch-normalization": [L.BatchNormalization()],
    }.get(name, [])
    penalty = keras.regularizers.L2(0.1) if name.startswith("l2") else None
    dense = [L.Dense(4, kernel_regularizer=penalty), *extra, L.Dense(1, kernel_regularizer=penalty)]
    return lambda: compiled(keras.Sequential([keras.Input((INPUTS,)), *dense]))


CHANGES_ANYTHING = {"selu", "gelu", "leaky-relu", "deeper", "wider", "narrower", "max-norm-3", "sgd-momentum"}
CHANGES_ANYTHING |= {"rmsprop", "adamw", "much-lower-rate", "much-higher-rate", "elu", "mish", "half-as-wide"}
CHANGES_ANYTHING |= {
    "dropout-recommended",
    "dropout-both",
    "dropout-inputs",
    "periodic-embedding",
    "piecewise-embedding",
}
CHANGES_ANYTHING |= {"weight-decay", "l1", "l1-l2", "hidden-noise", "weight-noise"}
CHANGES_ANYTHING |= {"layer-normalization", "batch-normalization-after"}
CHANGES_ANYTHING |= {"smaller-batches", "mixup"}


@EVERY_ON_DEMAND
def test_what_a_sound_network_has_is_not_changed(remedy):
    if remedy.name in CHANGES_ANYTHING:
        pytest.skip("it always adds something, or sets something to another value")
    callbacks = (keras.callbacks.ReduceLROnPlateau(),) if remedy.family == "schedule" else ()
    recipe = recipe_of(
        sound,
        batch_size=32,
        task="regression",
        n_outputs=1,
        scaling="robust",
        callbacks=callbacks,
        ensemble=3 if remedy.family == "ensemble" else 1,
        blended_with=("linear",) if remedy.family == "blend" else (),
    )
    with pytest.raises(NotApplicable) as reason:
        remedy.apply(recipe).build(INPUTS, 1)()
    assert not str(reason.value).endswith(".")


def rates(name: str, epochs: int = 10) -> np.ndarray:
    """The rate of each epoch under a schedule, as a multiple of the recipe's."""
    callback = remedy(name).apply(recipe_of(sequential, epochs=epochs)).callbacks[0]
    found, now = [], 0.5
    for epoch in range(epochs):
        now = callback.schedule(epoch, now)
        found.append(now)
    return np.array(found) / 0.5


def test_schedules_have_the_shapes_that_they_name():
    assert rates("cosine")[0] == pytest.approx(1)
    assert (np.diff(rates("cosine")) < 0).all()
    assert rates("cosine")[-1] < 0.05
    assert rates("one-cycle").argmax() == 3
    assert rates("one-cycle")[[0, 3]] == pytest.approx([0.1, 3.0])
    np.testing.assert_allclose(rates("warm-up"), [0.1] + [1.0] * 9, rtol=1e-6)
    np.testing.assert_allclose(rates("step-decay"), [1.0] * 4 + [0.3] * 3 + [0.09] * 3, rtol=1e-6)


def test_schedules_that_fall_evenly_or_after_a_warm_up():
    falling = rates("exponential-decay")
    np.testing.assert_allclose(falling[1:] / falling[:-1], 0.01**0.1)
    warmed = rates("warm-up-cosine", 20)
    np.testing.assert_allclose(warmed[:3], [0.1, 0.55, 1.0])
    assert (np.diff(warmed[2:]) < 0).all()
    assert warmed[-1] < 0.05


def test_schedules_that_rise_again():
    """Each at the epochs where its source has it at its top, and at its foot."""
    again = rates("cosine-restarts", 28)
    np.testing.assert_allclose(again[[0, 4, 12]], 1.0)  # cycles of 4, 8 and 16 epochs
    assert (np.flatnonzero(np.diff(again) > 0) + 1).tolist() == [4, 12]
    cycles = rates("cyclical", 32)
    np.testing.assert_allclose(cycles[[0, 8, 16, 24]], 0.5)
    np.testing.assert_allclose(cycles[[4, 12, 20, 28]], 0.5 + 1.5 * 0.5 ** np.arange(4))
    waves = rates("coslog4", 150)
    np.testing.assert_allclose(waves[[0, 10, 30, 70]], 0.01)  # ends of waves of 10, 20 and 40 epochs
    assert waves.max() == pytest.approx(2.0, abs=0.01)
    assert ((waves[1:-1] > waves[:-2]) & (waves[1:-1] > waves[2:])).sum() == 4
    assert waves.mean() == pytest.approx(0.9, abs=0.2)


def test_snapshots_are_taken_where_the_rate_is_lowest_and_begins_anew():
    """After each of five cosines, all equally long: epochs that five does not divide are rounded."""
    found = rates("snapshots-5", 40)
    cycle = 0.01 + 0.99 * (1 + np.cos(np.pi * np.arange(8) / 8)) / 2
    np.testing.assert_allclose(found, np.tile(cycle, 5), rtol=1e-6)
    for epochs, rounded in ((40, 40), (22, 20), (23, 25), (18, 20)):
        recipe = remedy("snapshots-5").apply(recipe_of(sequential, epochs=epochs))
        assert (recipe.epochs, recipe.snapshot_every) == (rounded, rounded // 5)
    again = remedy("longer").apply(recipe)
    assert (again.epochs, again.snapshot_every) == (60, 4)
    together = remedy("ensemble-5").apply(recipe)
    assert (together.ensemble, together.snapshot_every) == (5, 4)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"epochs": 17}, "17 epochs are too few for 5 cycles"),
        ({"epochs": 20, "stages": (Stage(recipe_of(sequential), 5),)}, "change on the way"),
        (
            {"epochs": 20, "callbacks": (keras.callbacks.ReduceLROnPlateau(),)},
            "already sets the learning rate",
        ),
    ],
)
def test_snapshots_need_cycles_of_their_own(fields, why):
    with pytest.raises(NotApplicable, match=why):
        remedy("snapshots-5").apply(recipe_of(sequential, **fields))


@pytest.mark.parametrize(("name", "epochs"), [("cosine-restarts", 13), ("cyclical", 15), ("coslog4", 29)])
def test_too_few_epochs_do_not_show_a_schedules_shape(name, epochs):
    with pytest.raises(NotApplicable, match=f"{epochs} epochs are too few"):
        remedy(name).apply(recipe_of(sequential, epochs=epochs))
    assert remedy(name).apply(recipe_of(sequential, epochs=epochs + 1)).callbacks


def of_optimizer(make) -> keras.Model:
    def build():
        model = keras.Sequential([keras.Input((INPUTS,)), L.Dense(1)])
        model.compile(make(), "mse")
        return model

    return build


@pytest.mark.parametrize(
    ("make", "power"),
    [
        (lambda: keras.optimizers.SGD(0.1, momentum=0.9), 1.0),
        (lambda: keras.optimizers.Adam(0.1), 0.5),
        (lambda: keras.optimizers.AdamW(0.1), 0.5),
        (lambda: keras.optimizers.RMSprop(0.1), 0.5),
    ],
)
@pytest.mark.parametrize(
    ("name", "size"),
    [("smaller-batches", 2), ("larger-batches", 32), ("whole-batch", 640), ("single-rows", 1)],
)
def test_the_rate_goes_with_the_batch_size_by_the_rule_for_the_optimizer(name, size, make, power):
    recipe = remedy(name).apply(recipe_of(of_optimizer(make), n_rows=640))
    assert recipe.batch_size == size
    rate = float(recipe.build(INPUTS, 1)().optimizer.learning_rate)
    assert rate == pytest.approx(0.1 * (size / 8) ** power)


@pytest.mark.parametrize(
    ("name", "fields", "why"),
    [
        ("single-rows", {"batch_size": 9}, "9 times as many steps"),
        ("single-rows", {"batch_size": 1}, "already have 1 row"),
        ("smaller-batches", {"batch_size": 1}, "already have 1 row"),
        ("larger-batches", {"n_rows": 0}, "not known"),
        ("larger-batches", {"n_rows": 63}, "63 rows are too few for batches of 32"),
        ("whole-batch", {"n_rows": 8193}, "no rule for the rate"),
        ("whole-batch", {"batch_size": 70, "n_rows": 60}, "already sees all rows"),
        ("whole-batch", {"n_rows": 0}, "not known"),
    ],
)
def test_batch_sizes_that_help_nobody_are_refused(name, fields, why):
    with pytest.raises(NotApplicable, match=why):
        remedy(name).apply(recipe_of(sequential, **{"n_rows": 640} | fields))


def test_an_optimizer_without_a_rule_keeps_its_batches():
    recipe = remedy("smaller-batches").apply(recipe_of(of_optimizer(lambda: keras.optimizers.Lion(0.1))))
    with pytest.raises(NotApplicable, match="rate of Lion"):
        recipe.build(INPUTS, 1)()


def test_depth_norms_and_labels():
    assert activations(on_demand("deeper")) == ["tanh", "tanh", "sigmoid"]
    assert [
        layer.kernel_constraint.max_value for layer in on_demand("max-norm-3").layers if layer.weights
    ] == [3, 3]
    smoothed = rewritten("label-smoothing", of_classes)
    target, sure = np.ones((1, 1), np.float32), np.full((1, 1), 0.95, np.float32)
    assert float(smoothed.loss(target, sure)) == pytest.approx(
        -0.95 * np.log(0.95) - 0.05 * np.log(0.05), rel=1e-4
    )


def for_classes(loss, last=2, activation="softmax", metrics=("accuracy",)):
    def build():
        model = keras.Sequential([keras.Input((INPUTS,)), L.Dense(last, activation)])
        model.compile("sgd", loss, metrics=list(metrics))
        return model

    return build


@pytest.mark.parametrize(
    ("loss", "last", "activation"),
    [
        ("binary_crossentropy", 1, "sigmoid"),
        (keras.losses.BinaryCrossentropy(from_logits=True), 1, None),
        ("categorical_crossentropy", 3, "softmax"),
        (keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1), 3, None),
        ("sparse_categorical_crossentropy", 3, "softmax"),
        (keras.losses.SparseCategoricalCrossentropy(from_logits=True), 3, None),
    ],
    ids=["binary", "binary-logits", "columns", "columns-smoothed", "codes", "codes-logits"],
)
def test_focal_loss_is_the_cross_entropy_times_how_unsure_the_network_is(loss, last, activation):
    """As by hand, on the target that the network then gets; class numbers become columns."""
    builder = for_classes(loss, last, activation)
    recipe = remedy("focal-loss").apply(recipe_of(builder, task="binary" if last == 1 else "multiclass"))
    model = recipe.build(INPUTS, last)()
    codes = np.array([0, 1, 1, 0]) if last == 1 else np.array([0, 2, 1, 1])
    task, classes = recipe.task, max(2, last)
    y = network_target(model, codes, task, classes, INPUTS)
    x = np.random.default_rng(0).normal(size=(4, INPUTS)).astype(np.float32)
    outputs = np.asarray(model(x))
    chances = predictions(outputs, link_of(model, task, last))
    truth = np.eye(classes)[codes]
    if getattr(loss, "_fn_kwargs", {}).get("label_smoothing"):
        truth = 0.9 * truth + 0.1 / classes
    focal = -(truth * (1 - chances) ** 2 * np.log(chances)).sum(axis=1).mean()
    assert float(model.loss(y, outputs)) == pytest.approx(focal, rel=1e-4)


@pytest.mark.parametrize(
    ("builder", "fields", "why"),
    [
        (of_classes, {"task": "regression"}, "no class"),
        (for_classes("mse", 1, "sigmoid"), {"task": "binary"}, "no plain cross-entropy"),
        (
            for_classes("sparse_categorical_crossentropy", metrics=["sparse_categorical_accuracy"]),
            {"task": "binary"},
            "metrics read class numbers",
        ),
        (for_classes("sparse_categorical_crossentropy"), {"task": "binary", "given": True}, "as they are"),
    ],
)
def test_focal_loss_is_refused_where_it_would_be_another_one(builder, fields, why):
    with pytest.raises(NotApplicable, match=why):
        remedy("focal-loss").apply(recipe_of(builder, **fields)).build(INPUTS, 1)()


def test_mixing_outlasts_every_remedy_that_makes_a_new_model():
    """In whatever order: what is built last trains on mixtures, and the model stays what it was."""
    recipe = recipe_of(sequential)
    for names in (("mixup", "dropout-0.2", "relu"), ("batch-normalization", "mixup")):
        changed = recipe
        for name in names:
            changed = remedy(name).apply(changed)
        model = changed.build(INPUTS, 1)()
        assert "train_step" in vars(model)
        assert type(model) in {keras.Sequential, type(functional())}
        assert len(changed.changes) == len(names)
    assert "train_step" not in vars(recipe.build(INPUTS, 1)())


def test_class_numbers_become_columns_where_rows_are_mixed():
    recipe = remedy("mixup").apply(
        recipe_of(for_classes("sparse_categorical_crossentropy", 3), task="multiclass")
    )
    model = recipe.build(INPUTS, 3)()
    codes = np.array([0, 2, 1])
    y = network_target(model, codes, "multiclass", 3, INPUTS)
    assert y.shape == (3, 3)
    outputs = np.full((3, 3), 1 / 3, np.float32)
    assert float(model.loss(y, outputs)) == pytest.approx(np.log(3))
    subclass = remedy("mixup").apply(recipe_of(subclassed)).build(INPUTS, 1)()
    assert "train_step" in vars(subclass)


def looking_up():
    x = keras.Input((INPUTS,), dtype="int32")
    return compiled(keras.Model(x, L.Dense(1)(L.Flatten()(L.Embedding(5, 2)(x)))))


@pytest.mark.parametrize(
    ("builder", "fields", "why"),
    [
        (looking_up, {}, "Embedding"),
        (for_classes("sparse_categorical_crossentropy"), {"given": True}, "as they are"),
        (sequential, {"mixup": 0.1}, "already mixed"),
    ],
)
def test_what_cannot_be_mixed_is_not(builder, fields, why):
    with pytest.raises(NotApplicable, match=why):
        remedy("mixup").apply(recipe_of(builder, **fields)).build(INPUTS, 1)()


def test_class_weights_and_thresholds_are_asked_of_the_recipe_and_only_for_classes():
    recipe = recipe_of(of_classes, task="binary")
    assert remedy("balanced-classes").apply(recipe).class_weights
    assert remedy("tuned-threshold").apply(recipe).tunes_threshold
    both = remedy("tuned-threshold").apply(remedy("balanced-classes").apply(recipe))
    assert (both.class_weights, both.tunes_threshold, len(both.changes)) == (True, True, 2)
    for name in ("balanced-classes", "tuned-threshold", "costly-classes"):
        with pytest.raises(NotApplicable, match="already"):
            remedy(name).apply(both)
        with pytest.raises(NotApplicable, match=r"no class|two classes"):
            remedy(name).apply(recipe_of(of_classes, task="regression"))
    with pytest.raises(NotApplicable, match="two classes"):
        remedy("tuned-threshold").apply(recipe_of(of_classes, task="multiclass"))


def test_classes_cost_what_they_are_mistaken():
    def costs(*errors):
        recipe = replace(recipe_of(of_classes, task="multiclass"), class_errors=errors)
        return remedy("costly-classes").apply(recipe).class_costs

    assert costs(0.1, 0.4, 0.2) == (0.25, 1.0, 0.5)
    assert costs(0.0, 0.5) == (0.2, 1.0)
    for errors, why in (((), "not known"), ((0.0, 0.0), "none is"), ((0.2, 0.21), "about as often")):
        with pytest.raises(NotApplicable, match=why):
            costs(*errors)


def on_demand(name: str, **fields) -> keras.Model:
    """The ailing model after a remedy."""
    return remedy(name).apply(ailing_recipe(**fields)).build(INPUTS, fields.get("n_outputs", 1))()


def activations(model: keras.Model) -> list[str]:
    return [layer.activation.__name__ for layer in model.layers if isinstance(layer, L.Dense)]


@pytest.mark.parametrize(
    ("task", "outputs", "activation", "loss"),
    [
        ("regression", 1, "linear", own_loss),
        ("multi-output regression", 3, "linear", own_loss),
        ("binary", 1, "sigmoid", "binary_crossentropy"),
        ("multiclass", 4, "softmax", "sparse_categorical_crossentropy"),
    ],
)
def test_the_head_is_that_of_the_task(task, outputs, activation, loss):
    model = on_demand("head", task=task, n_outputs=outputs)
    assert activations(model) == ["tanh", activation]
    assert model.output_shape == (None, outputs)
    assert model.loss == loss
    assert float(model.optimizer.learning_rate) == pytest.approx(-0.03)


def test_the_head_reads_a_target_that_was_given_in_another_way():
    recipe = ailing_recipe(given=True)
    assert not remedy("head").apply(recipe).given


def test_what_stands_behind_the_last_layer_passes_on():
    def build():
        model = keras.Sequential(
            [keras.Input((INPUTS,)), L.Dense(4, "relu"), L.Dense(2), L.Softmax(), L.Dropout(0.2)]
        )
        model.compile("sgd", "mse")
        return model

    with pytest.raises(NotApplicable, match="stands behind the last layer"):
        remedy("head").apply(recipe_of(build, task="binary")).build(INPUTS, 1)()


def test_hidden_activations_and_first_weights_are_replaced_where_they_stand_apart_too():
    assert activations(on_demand("relu")) == ["relu", "sigmoid"]
    model = rewritten("relu", functional)
    apart = [layer.activation.__name__ for layer in model.layers if isinstance(layer, L.Activation)]
    assert apart == ["relu"]
    leaky = on_demand("leaky-relu").layers[0]
    assert isinstance(leaky.activation, L.LeakyReLU)
    assert leaky.activation.negative_slope == pytest.approx(0.1)
    assert isinstance(leaky.kernel_initializer, keras.initializers.HeNormal)
    assert isinstance(
        on_demand("first-weights").layers[0].kernel_initializer, keras.initializers.GlorotUniform
    )


def test_regularization_is_taken_away_and_nothing_else():
    model = on_demand("less-regularization")
    assert model.layers[0].kernel_regularizer is None
    assert model.layers[1].rate == 0
    assert isinstance(model.layers[0].kernel_initializer, keras.initializers.RandomUniform)
    assert activations(model) == ["tanh", "sigmoid"]


def test_training_settings_are_changed_one_at_a_time():
    assert float(on_demand("positive-rate").optimizer.learning_rate) == pytest.approx(0.03)
    assert float(on_demand("much-lower-rate").optimizer.learning_rate) == pytest.approx(-0.0003)
    assert float(on_demand("much-higher-rate").optimizer.learning_rate) == pytest.approx(-3.0)
    assert on_demand("clip-norm").optimizer.clipnorm == 1.0
    assert isinstance(on_demand("adam").optimizer, keras.optimizers.Adam)
    assert on_demand("adam").loss is own_loss
    assert remedy("batch-32").apply(ailing_recipe()).batch_size == 32
    assert [on_demand(name).layers[0].units for name in ("wider", "narrower")] == [20, 1]


def test_scaling_remedies_change_inputs_target_or_both():
    plans = {
        name: remedy(name).apply(ailing_recipe()).preparation
        for name in ("scaling", "scale-inputs", "scale-target")
    }
    assert {name: (plan.scaling, plan.scale_target) for name, plan in plans.items()} == {
        "scaling": ("robust", True),
        "scale-inputs": ("robust", False),
        "scale-target": ("none", True),
    }


def test_other_ways_to_scale_and_a_targets_logarithm_are_asked_of_the_preparation():
    names = ("standard-inputs", "quantile-inputs", "power-inputs", "log-target")
    plans = [remedy(name).apply(ailing_recipe()).preparation for name in names]
    assert [plan.scaling for plan in plans] == ["standard", "quantile", "power", "none"]
    assert [plan.log_target for plan in plans] == ["none", "none", "none", "log"]
    assert [plan.scale_target for plan in plans] == [False, False, False, True]
    assert remedy("log-target").apply(ailing_recipe(lowest_target=0.0)).preparation.log_target == "log1p"


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"lowest_target": -2.0}, "values below 0, down to -2"),
        ({"lowest_target": None}, "not known"),
        ({"task": "binary", "lowest_target": None}, "is a class"),
        ({"given": True}, "does not fit the network's outputs"),
    ],
)
def test_a_logarithm_is_refused_where_there_is_none(facts, why):
    with pytest.raises(NotApplicable, match=why):
        remedy("log-target").apply(ailing_recipe(**facts))


def test_a_target_that_reaches_the_loss_as_it_is_is_not_scaled():
    assert not remedy("scaling").apply(ailing_recipe(given=True)).preparation.scale_target
    with pytest.raises(NotApplicable, match="reaches the loss as it is"):
        remedy("scale-target").apply(ailing_recipe(given=True))


def test_scaling_and_a_logarithm_go_together():
    recipe = remedy("log-target").apply(remedy("scaling").apply(ailing_recipe()))
    plan = recipe.preparation
    assert (plan.scaling, plan.log_target, plan.scale_target) == ("robust", "log", True)
    assert len(recipe.changes) == 2


@EVERY_GENERAL
def test_what_is_there_already_is_not_tried_again(remedy):
    if remedy.family in {"rate", "epochs"}:
        pytest.skip("any rate and any number of epochs can be changed")
    changed = {
        "stopping": {"callbacks": (keras.callbacks.EarlyStopping(),)},
        "schedule": {"callbacks": (keras.callbacks.ReduceLROnPlateau(),)},
        "scaling": {"scaling": "standard"},
        "ensemble": {"ensemble": 3},
    }.get(remedy.family, {})
    with pytest.raises(NotApplicable) as reason:
        remedy.apply(recipe_of(already_there(remedy.name), **changed)).build(INPUTS, 1)()
    assert len(str(reason.value)) > 15
    assert not str(reason.value).endswith(".")


@pytest.mark.parametrize("name", ["dropout-0.2", "gaussian-noise", "batch-normalization"])
def test_layers_of_a_subclassed_model_cannot_be_changed(name):
    with pytest.raises(NotApplicable, match="subclassed"):
        rewritten(name, subclassed)


@pytest.mark.parametrize("name", ["dropout-0.2", "batch-normalization"])
def test_a_network_without_hidden_layers_has_nothing_to_change(name):
    def build():
        return compiled(keras.Sequential([keras.Input((INPUTS,)), L.Dense(1)]))

    with pytest.raises(NotApplicable, match="no hidden layer"):
        rewritten(name, build)


def test_scaling_is_not_tried_on_a_network_that_scales():
    """Its Normalization was adapted to the inputs as they come."""

    def build():
        scale = L.Normalization()
        scale.adapt(np.arange(9.0).reshape(3, 3))
        return compiled(keras.Sequential([keras.Input((INPUTS,)), scale, L.Dense(1)]))

    with pytest.raises(NotApplicable, match="Normalization"):
        rewritten("scaling", build)


@pytest.mark.parametrize("name", ["dropout-0.5", "l2-0.01", "gaussian-noise", "batch-normalization"])
def test_what_the_builder_put_into_layers_stays(name):
    """An adapted Normalization and kernels that were set: as they were, in the rewritten model too."""
    seen = np.array([[0.0, 10.0, -5.0], [4.0, 30.0, 5.0]])
    kernel = np.arange(12.0).reshape(3, 4)

    def build():
        scale = L.Normalization()
        scale.adapt(seen)
        model = keras.Sequential([keras.Input((INPUTS,)), scale, L.Dense(4, "relu"), L.Dense(1)])
        model.layers[1].set_weights([kernel, np.zeros(4)])
        return compiled(model)

    model = rewritten(name, build)
    hidden = next(layer for layer in model.layers if isinstance(layer, L.Dense))
    scale = next(layer for layer in model.layers if isinstance(layer, L.Normalization))
    np.testing.assert_array_equal(np.asarray(hidden.kernel), kernel)
    np.testing.assert_allclose(np.asarray(scale.mean).ravel(), seen.mean(axis=0))


@pytest.mark.parametrize("name", ["dropout-0.5", "gaussian-noise", "batch-normalization"])
def test_layers_of_nested_blocks_are_reached(name):
    def build():
        block = keras.Sequential([L.Dense(4, "relu"), L.Dense(4, "relu")])
        return compiled(keras.Sequential([keras.Input((INPUTS,)), block, L.Dense(1)]))

    added = {"dropout-0.5": "Dropout", "gaussian-noise": "GaussianNoise"}.get(name, "BatchNormalization")
    model = rewritten(name, build)
    assert kinds(model).count(added) == (1 if name == "gaussian-noise" else 2)
    assert kinds(model).count("Dense") == 3


@pytest.mark.parametrize("name", ["dropout-0.5", "l2-0.01", "batch-normalization"])
def test_a_shared_layer_stays_shared(name):
    def build():
        x = keras.Input((INPUTS,))
        shared = L.Dense(4, "relu", name="shared")
        both = L.Add()([shared(x), shared(x * 2.0)])
        return compiled(keras.Model(x, L.Dense(1)(both)))

    model = rewritten(name, build)
    assert [layer.name for layer in model.layers].count("shared") == 1
    assert len([v for v in model.trainable_variables if v.path == "shared/kernel"]) == 1
    x = np.ones((2, INPUTS), np.float32)
    assert np.isfinite(np.asarray(model(x))).all()


def test_every_head_that_reaches_no_other_layer_is_left_alone():
    """Wide and deep: both last layers give the answer, and only the one hidden layer is treated."""

    def build():
        x = keras.Input((INPUTS,))
        deep = L.Dense(1)(L.Dense(4, "relu")(x))
        return compiled(keras.Model(x, L.Add()([deep, L.Dense(1)(x)])))

    assert kinds(rewritten("dropout-0.5", build)).count("Dropout") == 1


def test_a_model_that_declares_no_input_is_built_for_the_table():
    def build():
        return compiled(keras.Sequential([L.Dense(4, "relu"), L.Dense(1)]))

    assert "Dropout" in kinds(rewritten("dropout-0.5", build))


def test_remedies_follow_one_another():
    recipe = recipe_of(functional, scaling="robust")
    for name in ("batch-normalization", "dropout-0.2", "l2-0.01", "gaussian-noise", "lower-rate"):
        recipe = remedy(name).apply(recipe)
    model = recipe.build(INPUTS, 1)()
    found = kinds(model)
    assert [found.count(k) for k in ("BatchNormalization", "Dropout", "GaussianNoise")] == [2, 2, 1]
    assert float(np.asarray(model.optimizer.learning_rate)) == pytest.approx(0.003)
    behind = {
        type(node.parent_nodes[0].operation).__name__
        for layer in model.layers
        if isinstance(layer, L.Dropout)
        for node in layer._inbound_nodes
    }
    assert behind == {"Activation"}
    assert len(recipe.changes) == 5
    assert replace(recipe, name="x").changes == recipe.changes


def test_equal_names_in_two_blocks_are_refused_in_words():
    def build():
        blocks = [keras.Sequential([keras.Input((3,)), L.Dense(3, name="same")], name=n) for n in "ab"]
        return compiled(keras.Sequential([keras.Input((INPUTS,)), *blocks, L.Dense(1)]))

    with pytest.raises(NotApplicable, match="cannot connect"):
        rewritten("dropout-0.5", build)
