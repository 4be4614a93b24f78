"""Facts about the table of known errors: it recognises what Keras really says, and its code runs."""

import importlib.util
import re
import warnings

import keras
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.metrics import accuracy_score
from sklearn.model_selection import StratifiedKFold

import caviar
from caviar.help.table import KNOWN_ERRORS

layers, callbacks = keras.layers, keras.callbacks
NAMES = [error.name for error in KNOWN_ERRORS]

X = np.random.default_rng(0).normal(size=(12, 4)).astype("float32")
Y = np.arange(12) % 2


def network(outputs=1, activation="sigmoid", loss="binary_crossentropy", inputs=4, width=3, **compiling):
    """A compiled network of two layers."""
    dense = [layers.Dense(width), layers.Dense(outputs, activation=activation)]
    model = keras.Sequential([keras.Input((inputs,)), *dense])
    model.compile("adam", loss, **compiling)
    return model


def of_two(loss=None, **compiling):
    """A model that takes two arrays and returns two, all by name."""
    left, right = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    joined = layers.Concatenate()([left, right])
    price, kind = layers.Dense(1, name="price")(joined), layers.Dense(2, "softmax", name="kind")(joined)
    model = keras.Model({"left": left, "right": right}, {"price": price, "kind": kind})
    model.compile("adam", loss or {"price": "mse", "kind": "sparse_categorical_crossentropy"}, **compiling)
    return model


BOTH, TARGETS = {"left": X, "right": X}, {"price": X[:, 0], "kind": Y}


def what_is_said(trigger) -> str:
    """What a call raises, or warns of where it raises nothing, as a traceback's last line shows it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            trigger()
        except Exception as error:  # noqa: BLE001 - whatever Keras raises
            return f"{type(error).__name__}: {error}"
    said = [
        f"{one.category.__name__}: {one.message}" for one in caught if "copy keyword" not in str(one.message)
    ]
    assert said, "it raised nothing and warned of nothing"
    return "\n".join(said)


class Strange(layers.Layer):
    """A layer that is not registered."""

    def call(self, x):
        return x


class Branching(layers.Layer):
    """A layer whose Python depends on its numbers."""

    def call(self, x):
        return x if keras.ops.sum(x) > 0 else -x


class Fatherless(keras.Model):
    def __init__(self):
        self.dense = layers.Dense(1)


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 2

    def __getitem__(self, i):
        return X, Y[:, None]


def saved_and_loaded(layer, name="model.keras"):
    keras.Sequential([keras.Input((4,)), layer]).save(name)
    return keras.models.load_model(name)


def metrics_from_h5():
    network(loss="mse", metrics=["mse"]).save("old.h5")
    return keras.models.load_model("old.h5")


def other_weights():
    network(width=5).save_weights("w.weights.h5")
    network().load_weights("w.weights.h5")


def other_optimizer():
    model = network()
    model.fit(X, Y, verbose=0)
    model.save_weights("w.weights.h5")
    model.compile(keras.optimizers.SGD(), "mse")
    model.load_weights("w.weights.h5")


def one_optimizer_for_two():
    optimizer, first, second = keras.optimizers.Adam(), network(), network()
    optimizer.build(first.trainable_variables)
    optimizer.apply_gradients([(v.value * 0, v) for v in second.trainable_variables])


def imported(module, name=None):
    """What an import statement raises."""
    exec(f"import {module}" if name is None else f"from {module} import {name}")  # noqa: S102


# What Keras 3.15, or scikit-learn and NumPy beside it, say today.
TRIGGERS = {
    "plateau-min-delta": [lambda: callbacks.EarlyStopping(epsilon=1e-3)],
    "optimizer-lr": [lambda: keras.optimizers.SGD(lr=0.1), lambda: keras.optimizers.SGD().lr],
    "optimizer-decay": [lambda: keras.optimizers.SGD(learning_rate=0.1, decay=0.1)],
    "predict-classes": [lambda: network().predict_classes(X), lambda: network().predict_proba(X)],
    "scikit-learn-wrappers": [
        lambda: imported("keras.wrappers", "KerasClassifier"),
        lambda: imported("keras.wrappers.scikit_learn"),
        lambda: imported("scikeras.wrappers"),
        lambda: clone(object()),
    ],
    "fit-arguments": [
        lambda: network().fit(X, Y, nb_epoch=2),
        lambda: network().fit(X, Y, samples_per_epoch=2),
    ],
    "fit-generator": [lambda: network().fit_generator(X), lambda: network().predict_generator(X)],
    "layer-arguments": [
        lambda: layers.Dense(3, init="uniform"),
        lambda: layers.Dense(3, W_regularizer=None),
        lambda: layers.Dense(output_dim=3),
        lambda: layers.Dropout(p=0.5),
        lambda: keras.constraints.MaxNorm(m=3),
    ],
    "input-dim": [lambda: layers.Dense(3, input_dim=4)],
    "np-utils": [lambda: imported("keras.utils", "np_utils"), lambda: imported("keras.utils.np_utils")],
    "text-tools": [lambda: imported("keras.preprocessing.text")],
    "moved-names": [
        lambda: imported("keras.layers.core"),
        lambda: imported("keras.layers", "CuDNNLSTM"),
        lambda: imported("keras.constraints", "maxnorm"),
        lambda: imported("keras.models", "model_from_yaml"),
    ],
    "legacy-optimizers": [lambda: keras.optimizers.legacy.Adam(1e-3)],
    "backend-functions": [lambda: keras.backend.sum(X), lambda: keras.backend.set_value(1, 2)],
    "checkpoint-period": [lambda: callbacks.ModelCheckpoint("a.keras", period=2)],
    "input-width": [
        lambda: network(inputs=3).fit(X, Y, verbose=0),
        lambda: network(inputs=3).predict(X, verbose=0),
    ],
    "input-rank": [
        lambda: keras.Sequential([keras.Input((4,)), layers.LSTM(2)]),
        lambda: keras.Sequential([keras.Input((4,)), layers.Conv1D(2, 2)]),
    ],
    "sparse-target": [
        lambda: network(3, "softmax", "sparse_categorical_crossentropy").fit(X, np.eye(3)[Y], verbose=0)
    ],
    "target-shape": [
        lambda: network(3, "softmax", "categorical_crossentropy").fit(X, Y, verbose=0),
        lambda: network(2).fit(X, Y, verbose=0),
        lambda: network(1).fit(X, np.eye(2)[Y], verbose=0),
    ],
    "broadcasting": [
        lambda: keras.ops.add(np.ones((3, 4)), np.ones((2, 4))),
        lambda: np.ones((3, 4)) + np.ones((2, 4)),
    ],
    "object-array": [
        lambda: network().fit(X.astype(object), Y, verbose=0),
        lambda: network().fit(X, np.array(["a", "b"] * 6), verbose=0),
    ],
    "string-to-float": [
        lambda: np.array(["a", "b"]).astype("float32"),
        lambda: keras.utils.to_categorical(["a", "b"]),
    ],
    "class-out-of-range": [lambda: keras.utils.to_categorical([1, 2, 3], 3)],
    "list-input": [lambda: network().fit(X.tolist(), Y.tolist(), verbose=0)],
    "cardinality": [lambda: network().fit(X, Y[:5], verbose=0)],
    "unknown-size": [
        lambda: keras.Sequential([keras.Input((None, 3)), layers.Flatten(), layers.Dense(2)]),
        lambda: keras.Sequential([keras.Input((4, 1)), layers.LSTM(3, stateful=True)]),
    ],
    "shape-not-tuple": [lambda: keras.Input(4)],
    "image-too-small": [lambda: keras.Sequential([keras.Input((4, 4, 1)), layers.Conv2D(2, 5)])],
    "merged-shapes": [
        lambda: layers.Concatenate(axis=0)([keras.Input((3,)), keras.Input((4, 5))]),
        lambda: layers.Add()([keras.Input((3,)), keras.Input((4,))]),
    ],
    "metric-target": [
        lambda: accuracy_score(Y, np.linspace(0, 1, 12)),
        lambda: network(metrics=["f1_score"]).fit(X, Y, verbose=0),
    ],
    "lambda-layer": [lambda: saved_and_loaded(layers.Lambda(lambda z: z * 2))],
    "unknown-layer": [
        lambda: saved_and_loaded(Strange()),
        lambda: saved_and_loaded(Strange(), "model.h5"),
        lambda: keras.models.model_from_json('{"class_name": "Foo", "config": {}}'),
    ],
    "h5-metrics": [metrics_from_h5],
    "file-name": [
        lambda: callbacks.ModelCheckpoint("a.hdf5"),
        lambda: callbacks.ModelCheckpoint("a.h5", save_weights_only=True),
        lambda: network().save("folder"),
        lambda: network().save_weights("a.h5"),
        lambda: keras.models.load_model("."),
    ],
    "no-such-model": [
        lambda: keras.models.load_model("none.keras"),
        lambda: network().load_weights("none.weights.h5"),
    ],
    "several-inputs": [
        lambda: of_two().fit({"left": X}, TARGETS, verbose=0),
        lambda: of_two().fit(X, TARGETS, verbose=0),
        lambda: network().predict([X, X], verbose=0),
    ],
    "several-outputs": [
        lambda: of_two({"out": "mse"}).fit(BOTH, TARGETS, verbose=0),
        lambda: of_two().fit(BOTH, Y, verbose=0),
        lambda: of_two().fit(BOTH, {"price": Y}, verbose=0),
        lambda: of_two(metrics=["accuracy"]).fit(BOTH, TARGETS, verbose=0),
        lambda: of_two(metrics={"sort": "accuracy"}).fit(BOTH, TARGETS, verbose=0),
        lambda: of_two(loss_weights=[1.0]).fit(BOTH, TARGETS, verbose=0),
        lambda: of_two().fit(BOTH, TARGETS, sample_weight={"sort": np.ones(12)}, verbose=0),
        lambda: of_two().fit(BOTH, TARGETS, class_weight={0: 1.0, 1: 2.0}, verbose=0),
    ],
    "optimizer-not-loaded": [other_optimizer],
    "other-weights": [other_weights, lambda: network().set_weights([np.ones(3)])],
    "not-built": [
        lambda: layers.Dense(1).input,
        lambda: keras.Sequential([layers.Dense(1)]).count_params(),
        lambda: keras.Sequential([layers.Dense(1)]).save_weights("a.weights.h5"),
    ],
    "not-compiled": [lambda: keras.Sequential([keras.Input((4,)), layers.Dense(1)]).fit(X, Y, verbose=0)],
    "history-keys": [
        lambda: network(metrics=["accuracy"]).fit(X, Y, verbose=0).history["acc"],
        lambda: network(metrics=["accuracy"]).fit(X, Y, verbose=0).history["val_acc"],
    ],
    "monitor-missing": [
        lambda: network().fit(X, Y, verbose=0, callbacks=[callbacks.EarlyStopping()]),
        lambda: network().fit(X, Y, verbose=0, callbacks=[callbacks.ReduceLROnPlateau()]),
        lambda: network().fit(
            X, Y, verbose=0, callbacks=[callbacks.ModelCheckpoint("a.keras", save_best_only=True)]
        ),
        lambda: network().fit(X, Y, verbose=0, callbacks=[callbacks.EarlyStopping(monitor="val_acc")]),
    ],
    "validation-split": [lambda: network().fit(Batches(), validation_split=0.2, verbose=0)],
    "target-beside-dataset": [lambda: network().fit(Batches(), Y, verbose=0)],
    "ran-out": [
        lambda: network().fit(((X, Y[:, None]) for _ in range(1)), epochs=2, steps_per_epoch=2, verbose=0)
    ],
    "fold-random-state": [lambda: StratifiedKFold(5, random_state=1)],
    "identifier": [
        lambda: network(loss="mean_sq").fit(X, Y, verbose=0),
        lambda: layers.Dense(1, activation="relo"),
        lambda: network(metrics=["acuracy"]).fit(X, Y, verbose=0),
        lambda: layers.Dense(1, kernel_initializer="unifrm"),
    ],
    "softmax-of-one": [
        lambda: network(1, "softmax", "categorical_crossentropy").fit(X, Y[:, None], verbose=0)
    ],
    "class-weight": [lambda: network().fit(X, Y, class_weight="balanced", verbose=0)],
    "backend": [lambda: imported("tensorflow")],
    "not-a-layer": [lambda: keras.Sequential().add("dense"), lambda: keras.Sequential([layers.Dense])],
    "symbolic-tensor": [lambda: np.log(keras.Input((3,))), lambda: bool(keras.Input((3,)))],
    "traced-value": [lambda: keras.Sequential([keras.Input((4,)), Branching()])],
    "optimizer-reused": [one_optimizer_for_two],
    "super-init": [lambda: Fatherless()(X)],
    "memory": [lambda: np.zeros((10**9, 10**6)), lambda: keras.ops.zeros((10**7, 10**7))],
    "plot-model": [lambda: keras.utils.plot_model(network(), "p.png")],
}
# What other backends, earlier Keras and other packages say, as they were published.
HISTORIC = {
    "plateau-min-delta": [
        "TypeError: __init__() got an unexpected keyword argument 'min_delta'",
        "epsilon min_delta",
    ],
    "history-keys": ["KeyError: 'val_accuracy'"],
    "scikit-learn-wrappers": [
        "RuntimeError: Cannot clone object '<keras.wrappers.scikit_learn.KerasClassifier object at 0x7f>' (type ...)",
        "AttributeError: 'KerasClassifier' object has no attribute '__sklearn_tags__'",
    ],
    "input-width": [
        "ValueError: Error when checking input: expected dense_1_input to have shape (8,) but got (9,)",
        'ValueError: Input 0 of layer "sequential" is incompatible with the layer: expected shape=(None, 8), found 7',
    ],
    "input-rank": [
        "ValueError: Error when checking input: expected lstm_1_input to have 3 dimensions, but got (4, 2)"
    ],
    "target-shape": [
        "ValueError: `logits` and `labels` must have the same shape, received ((None, 3) vs (None, 1))."
    ],
    "sparse-target": [
        "InvalidArgumentError: Received a label value of 3 which is outside the valid range of [0, 3)."
    ],
    "object-array": [
        "ValueError: Failed to convert a NumPy array to a Tensor (Unsupported object type numpy.ndarray)."
    ],
    "layer-arguments": ["TypeError: ('Keyword argument not understood:', 'W_constraint')"],
    "fit-generator": [
        "UserWarning: `Model.fit_generator` is deprecated and will be removed in a future version."
    ],
    "optimizer-lr": ["UserWarning: The `lr` argument is deprecated, use `learning_rate` instead."],
    "not-compiled": ["RuntimeError: You must compile your model before using it."],
    "not-built": ["AttributeError: Layer dense_1 has no inbound nodes."],
    "unknown-layer": ["ValueError: Unknown layer: Attention"],
    "nan-loss": [
        "Epoch 3/10 - 1s - loss: nan - accuracy: 0.0000",
        "Batch 4: Invalid loss, terminating training",
    ],
    "from-logits": [
        "UserWarning: `binary_crossentropy` received `from_logits=True`, but the `output` argument was produced by ..."
    ],
    "not-a-layer": [
        "TypeError: The added layer must be an instance of class Layer. Found: <keras.layers.Dense object>"
    ],
    "traced-value": ["jax.errors.TracerBoolConversionError: Attempted boolean conversion of traced array"],
    "memory": [
        "ResourceExhaustedError: OOM when allocating tensor with shape[1024,4096]",
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",
    ],
    "backend": ["ModuleNotFoundError: No module named 'tensorflow'"],
    "matplotlib-pad": [
        "AttributeError: Unknown property pad",
        "AttributeError: Text.set() has no property 'pad'",
    ],
}
CASES = [(name, i) for name in TRIGGERS for i in range(len(TRIGGERS[name]))]
# Importing what is installed raises nothing.
INSTALLED = {"backend": "tensorflow", "plot-model": "pydot"}


@pytest.mark.parametrize(("name", "number"), CASES)
@pytest.mark.usefixtures("here")
def test_what_keras_says_today_is_recognised(name, number):
    if name in INSTALLED and importlib.util.find_spec(INSTALLED[name]) is not None:
        pytest.skip(f"{INSTALLED[name]} is installed")
    said = what_is_said(TRIGGERS[name][number])
    assert [error.name for error in caviar.explain_error(said).errors][:1] == [name], said


@pytest.mark.parametrize("name", HISTORIC)
def test_what_was_said_elsewhere_is_recognised(name):
    for said in HISTORIC[name]:
        assert [error.name for error in caviar.explain_error(said).errors][:1] == [name], said


def test_every_entry_is_recognised_somewhere_and_named_once():
    assert sorted(NAMES) == sorted(set(NAMES))
    assert set(NAMES) == set(TRIGGERS) | set(HISTORIC)


@pytest.mark.parametrize(
    "text",
    [
        "hello world",
        "why is the sky blue",
        "ZeroDivisionError: division by zero",
        "KeyError: 'patient_id'",
        "ModuleNotFoundError: No module named 'seaborn'",
        "AttributeError: 'DataFrame' object has no attribute 'append'",
        "the loss is finite and learning goes well",
    ],
)
def test_what_is_not_known_is_not_guessed(text):
    assert caviar.explain_error(text).errors == ()


def test_the_last_error_of_a_log_decides_not_what_it_warned_of_before():
    log = (
        "UserWarning: Do not pass an `input_shape`/`input_dim` argument to a layer.\n"
        'Traceback (most recent call last):\n  File "a.py", line 3, in <module>\n    model.fit(x, y)\n'
        "KeyError: 'x'\n\nDuring handling of the above exception, another exception occurred:\n\n"
        "Traceback (most recent call last):\n\x1b[1mValueError: Invalid dtype: object\x1b[0m\n"
    )
    assert [error.name for error in caviar.explain_error(log).errors] == ["object-array"]


@pytest.mark.parametrize("error", KNOWN_ERRORS, ids=NAMES)
def test_an_entry_is_short_and_written_in_sentences(error):
    for text in (error.means, error.do):
        assert text.endswith("."), text
        assert len(text) < 420, len(text)
    assert max(map(len, error.snippet.splitlines())) <= 74  # indented, it fits a terminal of 80 columns
    assert not re.search(r"\bTODO\b", error.snippet)


@pytest.mark.thorough
@pytest.mark.parametrize("error", KNOWN_ERRORS, ids=NAMES)
@pytest.mark.usefixtures("here")
def test_the_advised_code_runs(error):
    """In a place where there is a small table, and a model for it."""
    model = network(3, "softmax", "sparse_categorical_crossentropy")
    program = compile(error.snippet, error.name, "exec")
    exec(program, {"keras": keras, "np": np, "x": X, "y": Y, "model": model})  # noqa: S102 - our own table
