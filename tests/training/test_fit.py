"""`caviar.fit` does for each member what `Model.fit` does alone, argument by argument."""

import inspect
from functools import partial

import numpy as np
import pytest
from sklearn.model_selection import GroupKFold, LeaveOneOut

import caviar
from caviar.errors import OptionError
from caviar.population import devices

devices.start()
import keras  # noqa: E402 - only once JAX is its backend

from caviar.population.template import global_seeds_restored  # noqa: E402

L = keras.layers
RNG = np.random.default_rng(0)
X = RNG.normal(size=(53, 4))
Y = (X[:, :1] + 0.5 * RNG.normal(size=(53, 1)) > 0).astype(int)
WEIGHT = RNG.uniform(0.5, 2, 53)


def build(units=6, rate=0.02):
    model = keras.Sequential(
        [keras.Input((4,)), L.Dense(units, "relu"), L.Dropout(0.2), L.Dense(1, activation="sigmoid")]
    )
    model.compile(keras.optimizers.Adam(rate), "binary_crossentropy", metrics=["accuracy", LargestBatch()])
    return model


def alone(builder, seed, x=X, y=Y, **arguments):
    """What a person would write."""
    with global_seeds_restored():
        keras.utils.set_random_seed(seed)
        model = builder()
        history = model.fit(x, y, verbose=0, **arguments)
    return model, history.history


def assert_same(ours, theirs):
    assert set(theirs) <= set(ours)
    for name, values in theirs.items():
        np.testing.assert_allclose(ours[name], values, atol=1e-5, rtol=1e-5, err_msg=name)


# Every argument of `Model.fit` is here, with a value that changes the result.
CARRIED_OUT = {
    "batch_size": {"batch_size": 8},
    "epochs": {"epochs": 4},
    "callbacks": {
        "callbacks": [
            keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5 if epoch else 0.1),
            keras.callbacks.TerminateOnNaN(),
        ],
        "epochs": 4,
    },
    "validation_split": {"validation_split": 0.25, "epochs": 2},
    "validation_data": {"validation_data": (X[:9], Y[:9], WEIGHT[:9]), "epochs": 2},
    "shuffle": {"shuffle": False, "batch_size": 8},
    "class_weight": {"class_weight": {0: 3.0, 1: 0.5}, "validation_data": (X[:9], Y[:9])},
    "sample_weight": {"sample_weight": WEIGHT, "validation_split": 0.3},
    "initial_epoch": {"initial_epoch": 2, "epochs": 5},
    "validation_batch_size": {"validation_batch_size": 3, "validation_split": 0.25},
    "steps_per_epoch": {"steps_per_epoch": 4, "batch_size": 8, "epochs": 3},
    "validation_steps": {"validation_steps": 1, "validation_split": 0.4, "batch_size": 8},
    "validation_freq": {"validation_freq": 2, "validation_split": 0.25, "epochs": 5},
}


@keras.saving.register_keras_serializable("caviar_tests")
class LargestBatch(keras.metrics.Metric):
    """The largest number of rows that came at once: it tells one batch size from another."""

    def __init__(self, name="largest_batch", **options):
        super().__init__(name=name, **options)
        self.largest = self.add_weight(name="largest", initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):  # noqa: ARG002 - Keras' signature
        rows = keras.ops.sum(keras.ops.ones_like(y_true[:, 0], dtype="float32"))
        self.largest.assign(keras.ops.maximum(self.largest, rows))

    def result(self):
        return self.largest + 0.0


def logs_of(history, member):
    """As Keras lists them: only what was looked at."""
    rows = history.rows(member)
    return {name: [row[name] for row in rows if name in row] for row in rows for name in row}


ELSEWHERE = {"self", "x", "y", "verbose"}


def test_no_argument_of_fit_is_missing():
    """Keras' own signature is walked: each argument is carried out, and `fit` here takes it."""
    theirs = set(inspect.signature(keras.Model.fit).parameters)
    assert theirs == {*CARRIED_OUT, *ELSEWHERE}
    assert theirs - {"self"} <= set(inspect.signature(caviar.fit).parameters)


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # Keras, in the last epoch of a pass
@pytest.mark.parametrize("argument", CARRIED_OUT)
def test_every_argument_is_carried_out_as_fit_does(argument):
    arguments = CARRIED_OUT[argument]
    history = caviar.fit(build, X, Y, seeds=[3, 7], verbose=0, **arguments)
    assert history.attrs["engine"] == "population"
    model, logs = alone(build, 7, **arguments)
    assert_same(logs_of(history, 1), logs)
    np.testing.assert_allclose(
        history.members[1].model().predict(X, verbose=0), model.predict(X, verbose=0), atol=1e-5
    )
    plain = {name: value for name, value in arguments.items() if name != argument}
    other, other_logs = alone(build, 7, **plain)
    same_model = np.allclose(other.predict(X, verbose=0), model.predict(X, verbose=0), atol=1e-4)
    assert not same_model or other_logs != logs, f"{argument} changes nothing: this test could not fail"


@pytest.mark.thorough
@pytest.mark.parametrize(
    "weights",
    [
        {"class_weight": {0: 3.0, 1: 0.5}, "validation_data": (X[:9], Y[:9], WEIGHT[:9])},
        {"sample_weight": WEIGHT, "validation_data": (X[:9], Y[:9])},
        {"sample_weight": WEIGHT, "validation_data": (X[:9], Y[:9], WEIGHT[9:18])},
    ],
    ids=["class weights, weighed validation", "sample weights, validation without", "weights in both"],
)
def test_watched_and_held_out_rows_have_the_weights_that_were_given_for_them(weights):
    """Held-out rows are weighed as the caller weighs rows, and never by class; watched ones as `fit` weighs them."""
    history = caviar.fit(build, X, Y, folds=3, verbose=0, epochs=2, **weights)
    member = history.members[1]
    sample_weight = weights.get("sample_weight")
    mine = {} if sample_weight is None else {"sample_weight": sample_weight[member.rows]}
    model, logs = alone(build, 0, X[member.rows], Y[member.rows], epochs=2, **{**weights, **mine})
    assert_same({name: values[1] for name, values in history.history.items()}, logs)
    held_out = member.held_out
    judged = None if sample_weight is None else sample_weight[held_out]
    expected = model.evaluate(X[held_out], Y[held_out], sample_weight=judged, verbose=0, return_dict=True)
    assert_same({name: values[1] for name, values in history.scores.items()}, expected)


@pytest.mark.thorough
def test_early_stopping_and_plateau_are_per_member():
    stop = partial(
        keras.callbacks.EarlyStopping, "val_loss", patience=2, min_delta=1e-3, restore_best_weights=True
    )
    slow = partial(keras.callbacks.ReduceLROnPlateau, "val_loss", patience=1, min_delta=1e-3)
    arguments = {"validation_split": 0.3, "epochs": 30, "batch_size": 8}
    history = caviar.fit(
        partial(build, rate=0.1), X, Y, seeds=3, verbose=0, callbacks=[stop(), slow()], **arguments
    )
    for seed in range(3):
        model, logs = alone(partial(build, rate=0.1), seed, callbacks=[stop(), slow()], **arguments)
        ended = len(logs["loss"])
        ours = {name: values[seed] for name, values in history.history.items()}
        assert_same({name: values[:ended] for name, values in ours.items()}, logs)
        assert np.isnan(ours["loss"][ended:]).all()
        expected = model.predict(X, verbose=0)
        np.testing.assert_allclose(history.members[seed].model().predict(X, verbose=0), expected, atol=1e-5)


@pytest.mark.thorough
def test_watching_in_some_epochs_leaves_the_others_out_as_keras_does():
    """A list of epochs; early stopping and plateau wait for values, and nobody else's numbers change."""
    stop = keras.callbacks.EarlyStopping("val_loss", patience=2, min_delta=1e-3, restore_best_weights=True)
    slow = keras.callbacks.ReduceLROnPlateau("val_loss", patience=1, min_delta=1e-2, cooldown=1)
    arguments = {
        "validation_split": 0.3,
        "epochs": 24,
        "validation_freq": [1, 2, 5, 6, 9, 10, 11, 17, 18, 19, 20],
        "batch_size": 8,
        "callbacks": [stop, slow],
    }
    builder = partial(build, rate=0.1)
    history = caviar.fit(builder, X, Y, seeds=3, verbose=0, **arguments)
    assert history.attrs["engine"] == "population"
    lengths, values = set(), history.history["val_loss"]
    for seed in range(3):
        with pytest.warns(UserWarning, match="not available"):
            model, logs = alone(builder, seed, **arguments)
        assert_same(logs_of(history, seed), logs)
        lengths.add(len(logs["loss"]))
        seen = np.flatnonzero(np.isfinite(values[seed])) + 1
        assert set(seen) <= set(arguments["validation_freq"])
        expected = model.predict(X, verbose=0)
        np.testing.assert_allclose(history.members[seed].model().predict(X, verbose=0), expected, atol=1e-5)
    assert min(lengths) < 24, "somebody stops early"
    with pytest.warns(UserWarning, match="not available"):
        loop = caviar.fit(builder, X, Y, engine="loop", verbose=0, **arguments)
    assert_same(loop.history, logs_of(history, 0))


@pytest.mark.thorough
def test_a_single_member_lists_only_what_was_looked_at():
    arguments = {"validation_split": 0.3, "epochs": 5, "validation_freq": 2}
    history = caviar.fit(build, X, Y, verbose=0, **arguments)
    _, logs = alone(build, 0, **arguments)
    assert len(history.history["val_loss"]) == 2
    assert_same(history.history, logs)
    never = caviar.fit(build, X, Y, verbose=0, **{**arguments, "validation_freq": 9})
    assert "val_loss" not in never.history


@pytest.mark.thorough
def test_class_weights_of_recipes_share_one_program():
    weights = [{0: 3.0, 1: 0.5}, {0: 1.0, 1: 4.0}, {1: 0.25}]
    recipes = {str(i): {"class_weight": one} for i, one in enumerate(weights)}
    arguments = {"epochs": 3, "validation_split": 0.25}
    history = caviar.fit(build, X, Y, seeds=2, recipes=recipes, verbose=0, **arguments)
    assert history.attrs["populations"] == 1
    for i, one in enumerate(weights):
        model, logs = alone(build, 1, class_weight=one, **arguments)
        assert_same(logs_of(history, 2 * i + 1), logs)
        ours = history.members[2 * i + 1].model()
        np.testing.assert_allclose(ours.predict(X, verbose=0), model.predict(X, verbose=0), atol=1e-5)
    losses = history.history["loss"][1::2, -1]
    assert len(set(np.round(losses, 3))) == 3, "the weights have an effect"


@pytest.mark.thorough
def test_class_weights_of_one_are_no_class_weights():
    history = caviar.fit(
        build, X, Y, recipes={"none": {}, "ones": {"class_weight": {0: 1, 1: 1}}}, epochs=3, verbose=0
    )
    for name, (none, ones) in history.history.items():
        np.testing.assert_allclose(none, ones, atol=1e-6, err_msg=name)


@pytest.mark.thorough
def test_a_single_member_reads_like_keras_history():
    history = caviar.fit(build, X, Y, epochs=3, verbose=0)
    _, logs = alone(build, 0, epochs=3)
    assert isinstance(history.history["loss"], list)
    assert_same(history.history, logs)
    assert history.epoch == [0, 1, 2]


@pytest.mark.thorough
def test_folds_are_scored_on_rows_that_the_member_never_saw():
    history = caviar.fit(build, X, Y, seeds=2, folds=4, repeats=2, epochs=3, verbose=0, held_out="epoch")
    assert history.history["loss"].shape == (16, 3)
    assert history.attrs["split"] == "StratifiedKFold"
    for member in (history.members[0], history.members[13]):
        assert set(member.rows) | set(member.held_out) == set(range(53))
        assert not set(member.rows) & set(member.held_out)
    held = history.members[13].held_out
    values = history.members[13].model().evaluate(X[held], Y[held], verbose=0, return_dict=True)
    for name, value in values.items():
        assert history.scores[name][13] == pytest.approx(value, abs=1e-5)
        assert history.history[f"held_out_{name}"][13, -1] == pytest.approx(value, abs=1e-5)
    one = history.dataset["loss"].groupby("fold").mean()
    assert one.sizes["fold"] == 4, "folds can be told apart on the named axes"


@pytest.mark.thorough
@pytest.mark.parametrize("splitter", [GroupKFold(3), LeaveOneOut()])
def test_a_splitter_of_scikit_learn_is_used_as_it_is(splitter):
    if isinstance(splitter, GroupKFold):
        with pytest.raises(OptionError, match="groups"):
            caviar.fit(build, X, Y, folds=splitter, verbose=0)
    else:
        history = caviar.fit(build, X[:6], Y[:6], folds=splitter, verbose=0)
        assert [m.held_out.tolist() for m in history.members] == [[i] for i in range(6)]


@pytest.mark.thorough
def test_recipes_differ_in_what_they_say():
    recipes = {"narrow": {"units": 2}, "wide": {"units": 9, "epochs": 2}, "small batches": {"batch_size": 4}}
    history = caviar.fit(build, X, Y, seeds=2, epochs=3, recipes=recipes, verbose=0)
    assert history.dataset["recipe"].values.tolist() == ["narrow"] * 2 + ["wide"] * 2 + ["small batches"] * 2
    _, logs = alone(partial(build, units=9), 1, epochs=2)
    np.testing.assert_allclose(history.history["loss"][3, :2], logs["loss"], atol=1e-5)
    assert np.isnan(history.history["loss"][3, 2])
    assert history.members[0].model().count_params() < history.members[2].model().count_params()


def many(rate=0.02, drop=0.2, l2=0.01, noise=0.1, beta=0.9, momentum=0.9):
    model = keras.Sequential(
        [
            keras.Input((4,)),
            L.GaussianNoise(noise),
            L.Dense(6, "relu", kernel_regularizer=keras.regularizers.L2(l2)),
            L.BatchNormalization(momentum=momentum),
            L.Dropout(drop),
            L.Dense(1, activation="sigmoid"),
        ]
    )
    optimizer = keras.optimizers.Adam(rate, beta_1=beta)
    model.compile(optimizer, keras.losses.BinaryCrossentropy(label_smoothing=drop / 2), metrics=["accuracy"])
    return model


@pytest.mark.thorough
def test_recipes_that_differ_in_numbers_share_one_program_and_equal_fit():
    """Learning rate, dropout, L2, noise, beta, momentum of a normalization, label smoothing: nobody asked for it."""
    recipes = {
        "as it is": {},
        "other": {"rate": 0.1, "drop": 0.4, "l2": 0.1, "noise": 0.5, "beta": 0.5, "momentum": 0.5},
        "slow": {"rate": 0.001},
        "no dropout": {"drop": 0.0},
    }
    arguments = {"epochs": 3, "batch_size": 16}
    history = caviar.fit(many, X, Y, seeds=2, recipes=recipes, verbose=0, **arguments)
    assert history.attrs["populations"] == 2, (
        "only a rate of 0, which leaves the mask out, is another program"
    )
    for i, changes in enumerate(recipes.values()):
        model, logs = alone(partial(many, **changes), 1, **arguments)
        member = 2 * i + 1
        assert_same({name: values[member] for name, values in history.history.items()}, logs)
        ours = history.members[member].model()
        np.testing.assert_allclose(ours.predict(X, verbose=0), model.predict(X, verbose=0), atol=1e-5)
        assert ours.layers[0].stddev == changes.get("noise", 0.1)
    losses = history.history["loss"][1::2, -1]
    assert len(set(np.round(losses, 4))) == 4, "the numbers have an effect"


@pytest.mark.thorough
def test_callbacks_that_set_the_rate_keep_recipes_with_other_rates_apart():
    slower = keras.callbacks.ReduceLROnPlateau("loss", patience=0, min_delta=0.5, min_lr=0)
    recipes = {"a": {"rate": 0.02}, "b": {"rate": 0.01}}
    history = caviar.fit(build, X, Y, recipes=recipes, epochs=3, callbacks=[slower], verbose=0)
    assert history.attrs["populations"] == 2
    np.testing.assert_allclose(history.history["learning_rate"][1], [0.01, 0.01, 0.001], rtol=1e-5)


@pytest.mark.thorough
def test_recipes_that_stop_early_at_other_rates_share_a_program():
    stop = keras.callbacks.EarlyStopping("val_loss", patience=1, min_delta=1e-3)
    recipes = {"a": {"rate": 0.2}, "b": {"rate": 0.01}}
    arguments = {"epochs": 12, "validation_split": 0.3, "callbacks": stop}
    history = caviar.fit(build, X, Y, recipes=recipes, verbose=0, **arguments)
    assert history.attrs["populations"] == 1
    for i, changes in enumerate(recipes.values()):
        _, logs = alone(partial(build, **changes), 0, **arguments)
        ended = len(logs["loss"])
        assert_same({name: values[i, :ended] for name, values in history.history.items()}, logs)
        assert np.isnan(history.history["loss"][i, ended:]).all()


def odd(rate=0.02, drop=0.2):
    """Computes outside of JAX: one model at a time, each recipe with its own builder."""

    class Odd(keras.Model):
        def __init__(self):
            super().__init__()
            self.drop, self.last = L.Dropout(drop), L.Dense(1)

        def call(self, x, training=False):
            return self.last(self.drop(x, training=training))

        def train_step(self, state, data):
            logs, state = super().train_step(state, data)
            float(logs["loss"])
            return logs, state

    model = Odd()
    model.compile(keras.optimizers.SGD(rate), "mse", run_eagerly=True)
    return model


def test_recipes_of_a_model_that_cannot_run_together_keep_their_numbers():
    history = caviar.fit(odd, X, Y, recipes={"a": {}, "b": {"rate": 0.2}}, epochs=2, batch_size=53, verbose=0)
    assert history.attrs["engine"] == "loop"
    _, logs = alone(partial(odd, rate=0.2), 0, epochs=2, batch_size=53)
    np.testing.assert_allclose(history.history["loss"][1], logs["loss"], atol=1e-5)


@pytest.mark.thorough
def test_several_inputs_and_outputs_are_dicts():
    def two():
        a, b = keras.Input((4,), name="a"), keras.Input((3, 2), name="b")
        joined = L.Concatenate()([a, L.Flatten()(b)])
        model = keras.Model(
            {"a": a, "b": b}, {"p": L.Dense(1, name="p")(joined), "q": L.Dense(2, name="q")(joined)}
        )
        model.compile("adam", {"p": "mse", "q": "mae"}, metrics={"p": ["mae"]})
        return model

    x = {"a": X, "b": RNG.normal(size=(53, 3, 2))}
    y = {"p": RNG.normal(size=(53, 1)), "q": RNG.normal(size=(53, 2))}
    history = caviar.fit(two, x, y, seeds=2, folds=3, epochs=2, verbose=0)
    member = history.members[3]
    rows = member.rows
    model, logs = alone(
        two, member.seed, {k: v[rows] for k, v in x.items()}, {k: v[rows] for k, v in y.items()}, epochs=2
    )
    assert history.attrs["engine"] == "population"
    assert_same({name: values[3] for name, values in history.history.items()}, logs)
    ours, theirs = member.model().predict(x, verbose=0), model.predict(x, verbose=0)
    np.testing.assert_allclose(ours["q"], theirs["q"], atol=1e-5)


def test_a_member_is_an_ordinary_model_that_saves_loads_and_goes_on(tmp_path):
    """Its optimizer's state comes along: going on equals going on with the model that `fit` gave."""
    member = caviar.fit(build, X, Y, seeds=2, epochs=2, verbose=0).members[1].model()
    other, _ = alone(build, 1, epochs=2)
    member.save(tmp_path / "member.keras")
    loaded = keras.saving.load_model(tmp_path / "member.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), member.predict(X, verbose=0))
    assert int(member.optimizer.iterations) == int(other.optimizer.iterations) == 4
    for model in (member, other):
        model.fit(X, Y, epochs=2, shuffle=False, verbose=0)
    np.testing.assert_allclose(member.predict(X, verbose=0), other.predict(X, verbose=0), atol=1e-5)


class Splitter:
    """Gives the folds that it was given."""

    def __init__(self, folds):
        self.folds = folds

    def split(self, x, y=None):  # noqa: ARG002 - scikit-learn's signature
        return self.folds


@pytest.mark.thorough
def test_a_splitter_may_give_masks_and_weights_may_come_as_a_column():
    inside = np.arange(53) < 40
    masks = caviar.fit(build, X, Y, folds=Splitter([(inside, ~inside)]), verbose=0)
    numbers = caviar.fit(
        build,
        X,
        Y,
        folds=Splitter([(np.arange(40), np.arange(40, 53))]),
        sample_weight=np.ones((53, 1)),
        verbose=0,
    )
    assert_same(masks.history, numbers.history)


class Counting(keras.callbacks.Callback):
    """Only beside a single model."""

    seen = 0

    def on_epoch_end(self, epoch, logs=None):  # noqa: ARG002 - Keras' signature
        Counting.seen += 1


def test_a_callback_that_cannot_be_carried_is_named_and_the_loop_runs_it():
    with pytest.raises(OptionError, match=r"Counting.*engine='loop'"):
        caviar.fit(build, X, Y, callbacks=[Counting()], verbose=0)
    history = caviar.fit(build, X, Y, seeds=2, epochs=2, callbacks=[Counting()], engine="loop", verbose=0)
    assert (Counting.seen, history.attrs["engine"]) == (4, "loop")
    assert_same({name: values[1] for name, values in history.history.items()}, alone(build, 1, epochs=2)[1])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"y": None}, "targets y"),
        ({"y": Y[:9]}, "53"),
        ({"x": iter([X])}, "its own batches"),
        ({"x": np.array(["a"] * 53)}, "text"),
        ({"seeds": 0}, "seeds"),
        ({"seeds": [1, 1]}, "different"),
        ({"seeds": [-1]}, "seeds"),
        ({"seeds": 2.5}, "seeds"),
        ({"seeds": [0.5]}, "seeds"),
        ({"seeds": "abc"}, "seeds"),
        ({"folds": 1}, "folds"),
        ({"folds": 54}, "53"),
        ({"repeats": 0}, "repeats"),
        ({"repeats": 2}, "number of folds"),
        ({"epochs": 0}, "epochs"),
        ({"epochs": 2, "initial_epoch": 2}, "initial_epoch"),
        ({"batch_size": 2.5}, "batch_size"),
        ({"validation_split": 1.0}, "validation_split"),
        ({"validation_split": 0.999}, "rows on both sides"),
        ({"validation_data": X}, "validation_data"),
        ({"validation_data": ({"a": X}, Y)}, "same inputs"),
        ({"class_weight": {0: 2.0}, "sample_weight": WEIGHT}, "both"),
        ({"sample_weight": WEIGHT[:3]}, "sample_weight"),
        ({"validation_data": (X, Y, WEIGHT[:3])}, "weights of validation_data"),
        ({"validation_data": (X[:, :2], Y)}, r"\(4,\), got \(2,\)"),
        ({"recipes": {"a": {"depth": 3}}}, "units, rate"),
        ({"recipes": {"a": 3}}, "dict of changes"),
        ({"recipes": [{}]}, "name and changes"),
        ({"class_weight": [1, 2]}, "class and number"),
        ({"class_weight": {0: "a"}}, "class and number"),
        ({"validation_split": "a"}, "validation_split"),
        ({"epochs": "3"}, "epochs"),
        ({"callbacks": [print]}, "Keras callbacks"),
        ({"callbacks": keras.callbacks.EarlyStopping()}, "'val_loss'.*rows to watch"),
        ({"engine": "fast"}, "engine"),
        ({"held_out": True}, "held_out"),
        ({"validation_freq": 0}, "validation_freq"),
        ({"validation_freq": []}, "validation_freq"),
        ({"validation_freq": 2.5}, "validation_freq"),
        ({"shuffle": "batch"}, "shuffle"),
        ({"build": build()}, "function that makes a model"),
        ({"folds": Splitter([])}, "got none"),
        ({"folds": Splitter([([], [1, 2])])}, "rows to hold out"),
        ({"folds": Splitter([([0, 1], [99])])}, "from 0 to 99"),
        ({"folds": Splitter([([0, -1], [2])])}, "from -1 to 2"),
        ({"x": [[1, 2], [3]], "y": Y[:2]}, "array of numbers"),
        ({"x": {}}, "hold arrays"),
        ({"y": np.where(Y == 0, np.nan, Y), "class_weight": {0: 2.0}}, "missing"),
        ({"class_weight": np.ones(3)}, "class and number"),
        ({"class_weight": {"a": 1.0}}, "class and number"),
        ({"class_weight": {0: np.nan}}, "class and number"),
        ({"sample_weight": np.ones((53, 2))}, "one number per row"),
        ({"repeats": "a"}, "repeats"),
        ({"folds": 2, "repeats": 1.5}, "repeats"),
        ({"folder": 5}, "folder"),
        ({"seeds": True}, "seeds"),
        ({"shuffle": np.array([True, False])}, "shuffle"),
        ({"x": X[:, :2]}, r"expected axis -1"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence(arguments, words):
    with pytest.raises(caviar.CaviarError, match=words) as error:
        caviar.fit(**{"build": build, "x": X, "y": Y, "verbose": 0, **arguments})
    assert str(error.value).startswith("Expected")
