"""Two recipes have the same structure if one program serves both, and never otherwise."""

import inspect
import threading

import jax
import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caviar.errors import ModelError
from caviar.population import structure as module
from caviar.population import template as template_module
from caviar.population.lift import numbers, places
from caviar.population.structure import CannotCompare, structure
from caviar.population.template import make_template
from tests.population.test_lift import CASES, rows

C, F, L, M, R = keras.constraints, keras.losses, keras.layers, keras.metrics, keras.regularizers
O = keras.optimizers  # noqa: E741 - as the other five

BATCH = rows(1)


def structure_of(build, batch=BATCH):
    return structure(make_template(build, batch), batch)


def sketch_of(build, batch):
    """A built model without first values: quicker than a template."""
    return template_module._build_recorded(build, batch, 1)[0]


def network(*layers, optimizer=None, loss="mse", **options):
    """A builder of a small network."""

    def build():
        made = [layer() for layer in layers or (lambda: L.Dense(3, "tanh"),)]
        model = keras.Sequential([keras.Input((4,)), *made, L.Dense(1)])
        fresh = {name: make() if callable(make) else make for name, make in options.items()}
        fresh["loss"] = loss() if callable(loss) else loss
        model.compile(optimizer() if optimizer else O.SGD(0.1, momentum=0.9), **fresh)
        return model

    return build


def dense(**options):
    return network(lambda: L.Dense(3, **options))


def sgd(**options):
    return network(optimizer=lambda: O.SGD(0.1, **{"momentum": 0.9, **options}))


def shared_regularizer():
    shared = R.L2(0.1)
    return L.Dense(3, kernel_regularizer=shared, bias_regularizer=shared)


def set_weights(scale):
    def build():
        model = network()()
        model.layers[0].bias.assign([scale, 0, 0])
        return model

    return build


def adapted(scale):
    def build():
        layer = L.Normalization()
        layer.adapt(scale * np.arange(40, dtype=np.float32).reshape(10, 4))
        return network(lambda: layer)()

    return build


def frozen():
    model = network()()
    model.layers[0].trainable = False
    model.compile(O.SGD(0.1, momentum=0.9), "mse")
    return model


def wired(first, second):
    def build():
        inputs = keras.Input((4,))
        a, b = L.Dense(3, "tanh")(inputs), L.Dense(3, "relu")(inputs)
        model = keras.Model(inputs, L.Dense(1)(L.Concatenate()([(a, b)[first], (a, b)[second]])))
        model.compile("sgd", "mse")
        return model

    return build


def scaled(factor):
    def build():
        inputs = keras.Input((4,))
        model = keras.Model(inputs, L.Dense(1)(inputs * factor))
        model.compile("sgd", "mse")
        return model

    return build


def named_outputs(first):
    def build():
        inputs = keras.Input((4,))
        model = keras.Model(inputs, L.Dense(1, name=first)(inputs))
        model.compile("sgd", "mse")
        return model

    return build


def without_decay_of_biases(**of):
    def build():
        model = network()()
        optimizer = O.SGD(0.1, momentum=0.9, weight_decay=0.1)
        optimizer.exclude_from_weight_decay(**{name: of_model(model) for name, of_model in of.items()})
        model.compile(optimizer, "mse")
        return model

    return build


def biases(model):
    return [layer.bias for layer in model.layers]


def image(**options):
    return network(lambda: L.Reshape((2, 2, 1)), lambda: L.Conv2D(2, 2, **options), L.Flatten)


DIFFERENT = {
    "width": (dense(), network(lambda: L.Dense(4))),
    "activation": (dense(), dense(activation="relu")),
    "bias": (dense(), dense(use_bias=False)),
    "initializer": (dense(), dense(kernel_initializer="he_normal")),
    "scale of an initializer": tuple(
        network(lambda s=s: L.Dense(3, kernel_initializer=keras.initializers.RandomNormal(stddev=s)))
        for s in (1, 2)
    ),
    "fixed seed": tuple(network(lambda s=s: L.Dropout(0.5, seed=s)) for s in (1, 2)),
    "fixed or free seed": (network(lambda: L.Dropout(0.5)), network(lambda: L.Dropout(0.5, seed=1))),
    "fixed seed of an initializer": tuple(
        network(lambda s=s: L.Dense(3, kernel_initializer=keras.initializers.GlorotUniform(seed=s)))
        for s in (1, 2)
    ),
    "one more layer": (network(), network(lambda: L.Dense(3, "tanh"), lambda: L.Activation("linear"))),
    "order of layers": (
        network(lambda: L.Dropout(0.5), L.BatchNormalization),
        network(L.BatchNormalization, lambda: L.Dropout(0.5)),
    ),
    "wiring": (wired(0, 1), wired(1, 0)),
    "one branch twice": (wired(0, 1), wired(0, 0)),
    "a constant in the graph": (scaled(2.0), scaled(3.0)),
    "name of an output": (named_outputs("price"), named_outputs("cost")),
    "trainable": (network(), frozen),
    "half precision": (dense(), dense(dtype="mixed_bfloat16")),
    "kind of regularizer": (dense(kernel_regularizer="l1"), dense(kernel_regularizer="l2")),
    "a regularizer or none": (dense(), dense(kernel_regularizer="l2")),
    "what is regularized": (dense(bias_regularizer="l2"), dense(kernel_regularizer="l2")),
    "L1 or none of it": tuple(
        network(lambda x=x: L.Dense(3, kernel_regularizer=R.L1L2(x, 0.1))) for x in (0.0, 0.1)
    ),
    "one regularizer for two weights": (
        network(shared_regularizer),
        network(lambda: L.Dense(3, kernel_regularizer=R.L2(0.1), bias_regularizer=R.L2(0.1))),
    ),
    "a constraint or none": (dense(), dense(kernel_constraint=C.MaxNorm(2))),
    "axis of a constraint": (
        dense(kernel_constraint=C.MaxNorm(2)),
        dense(kernel_constraint=C.MaxNorm(2, axis=1)),
    ),
    "dropout or none": (network(lambda: L.Dropout(0.5)), network(lambda: L.Dropout(0.0))),
    "total dropout": (network(lambda: L.Dropout(0.5)), network(lambda: L.Dropout(1.0))),
    "shape of a mask": (
        network(lambda: L.Dropout(0.5)),
        network(lambda: L.Dropout(0.5, noise_shape=(None, 1))),
    ),
    "noise or none": (network(lambda: L.GaussianNoise(0.5)), network(lambda: L.GaussianNoise(0.0))),
    "kind of noise": (network(lambda: L.GaussianDropout(0.5)), network(lambda: L.AlphaDropout(0.5))),
    "a slope or none": (network(lambda: L.ReLU(negative_slope=0.1)), network(L.ReLU)),
    "a ceiling": (network(lambda: L.ReLU(max_value=1)), network(lambda: L.ReLU(max_value=2))),
    "parts of a normalization": (
        network(L.BatchNormalization),
        network(lambda: L.BatchNormalization(center=False)),
    ),
    "axis": tuple(
        network(lambda: L.Reshape((2, 2)), lambda a=a: L.LayerNormalization(a), L.Flatten) for a in (1, 2)
    ),
    "padding": (image(), image(padding="same")),
    "stride": (image(padding="same"), image(padding="same", strides=2)),
    "adapted values": (adapted(1), adapted(2)),
    "values that the builder sets": (set_weights(1), set_weights(2)),
    "optimizer": (network(), network(optimizer=lambda: O.RMSprop(0.1, momentum=0.9))),
    "momentum or none": (sgd(), sgd(momentum=0.0)),
    "Nesterov": (sgd(), sgd(nesterov=True)),
    "clipping or none": (sgd(), sgd(clipnorm=1.0)),
    "kind of clipping": (sgd(clipvalue=1.0), sgd(clipnorm=1.0)),
    "decay or none": (sgd(), sgd(weight_decay=0.0)),
    "what decays": (without_decay_of_biases(var_list=biases), sgd(weight_decay=0.1)),
    "what decays by its name": (without_decay_of_biases(var_names=lambda _: ["bias"]), sgd(weight_decay=0.1)),
    "averaging": (sgd(), sgd(use_ema=True)),
    "accumulation": (sgd(gradient_accumulation_steps=2), sgd(gradient_accumulation_steps=3)),
    "a schedule": (sgd(), network(optimizer=lambda: O.SGD(O.schedules.CosineDecay(0.1, 9), momentum=0.9))),
    "which schedule": tuple(
        network(optimizer=lambda n=n: O.SGD(O.schedules.CosineDecay(0.1, n))) for n in (8, 9)
    ),
    "AMSGrad": tuple(network(optimizer=lambda a=a: O.Adam(amsgrad=a)) for a in (True, False)),
    "first accumulator": tuple(network(optimizer=lambda a=a: O.Adagrad(0.1, a)) for a in (0.1, 0.2)),
    "loss": (network(), network(loss="mae")),
    "reduction": (network(loss=F.Huber), network(loss=lambda: F.Huber(reduction="sum"))),
    "logits": tuple(network(loss=lambda a=a: F.BinaryCrossentropy(from_logits=a)) for a in (True, False)),
    "smoothing or none": tuple(
        network(loss=lambda a=a: F.BinaryCrossentropy(label_smoothing=a)) for a in (0.0, 0.1)
    ),
    "a weight of the loss or none": (network(), network(loss_weights=2.0)),
    "metric": (network(metrics=["mae"]), network(metrics=["mse"])),
    "name of a metric": tuple(network(metrics=lambda n=n: [M.AUC(name=n)]) for n in ("area", "auroc")),
    "number of a metric": tuple(network(metrics=lambda n=n: [M.AUC(num_thresholds=n)]) for n in (10, 20)),
    "axis of a metric": tuple(network(metrics=lambda n=n: [M.CosineSimilarity(axis=n)]) for n in (0, 1)),
    "weighted metric": (network(metrics=["mae"]), network(weighted_metrics=["mae"])),
    "order of metrics": (network(metrics=["mae", "mse"]), network(metrics=["mse", "mae"])),
    "steps per execution": (network(), network(steps_per_execution=2)),
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_what_is_no_liftable_number_tells_structures_apart(what):
    one, other = DIFFERENT[what]
    assert structure_of(one) == structure_of(one)
    assert structure_of(one) != structure_of(other)


@pytest.mark.parametrize("name", CASES)
def test_recipes_that_differ_in_liftable_numbers_have_one_structure(name):
    """Those of which the tests of lift.py show that one program serves them."""
    case = CASES[name]
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(case.policy)
    try:
        texts = {
            structure_of(lambda r=recipe: case.build(**r), rows(case.targets)) for recipe in case.recipes
        }
    finally:
        keras.config.set_dtype_policy(before)
    assert len(texts) == 1


NEEDED = {
    L.Dense: {"units": 3},
    L.BatchNormalization: {},
    L.Dropout: {"rate": 0.5},
    L.Conv1D: {"filters": 2, "kernel_size": 1},
    L.LSTM: {"units": 2},
    **{part: {} for part in (O.SGD, O.RMSprop, O.AdamW, O.Adagrad, O.Adafactor, O.Ftrl, O.Muon)},
    **{
        part: {}
        for part in (F.Huber, F.BinaryFocalCrossentropy, F.CosineSimilarity, F.Tversky, M.AUC, M.R2Score)
    },
}
OTHERS = {
    bool: lambda value: [not value],
    int: lambda value: [value + 1, value - 1],
    float: lambda value: [0.7 * value + 0.1],
    str: lambda _: ["relu", "same", "sum", "random_normal", "minoring", "PR", "macro"],
    type(None): lambda _: [2, 0.5, True, "l2", "max_norm", "float16", "area"],
}


def seen(part, arguments):
    """What is said of a model with this part, and its numbers."""
    made = part(**arguments)

    def build():
        layers = [made] if isinstance(made, L.Layer) else []
        square = isinstance(made, L.Conv1D | L.LSTM)
        options = {"loss": made if isinstance(made, F.Loss) else "mse"}
        options |= {"metrics": [made]} if isinstance(made, M.Metric) else {}
        model = keras.Sequential(
            [keras.Input((4,)), *([L.Reshape((2, 2))] if square else []), *layers, L.Flatten(), L.Dense(2)]
        )
        model.compile(made if isinstance(made, O.Optimizer) else "sgd", **options)
        return model

    batch = (np.zeros((2, 4), np.float32), np.zeros((2, 2), np.float32))
    model = sketch_of(build, batch)
    return module._described([model], model, places(model)), numbers(model)


@pytest.mark.parametrize("part", NEEDED, ids=lambda part: part.__name__)
def test_no_argument_of_a_part_of_keras_goes_unseen(part):
    """Its config may leave it out, as that of `Huber` leaves out delta; another value is always another text."""
    plain, tried = seen(part, NEEDED[part]), 0
    for argument in inspect.signature(part).parameters.values():
        value = NEEDED[part].get(argument.name, argument.default)
        if argument.name == "name" and issubclass(part, O.Optimizer):
            continue  # only a name
        for other in OTHERS.get(type(value), lambda _: [])(value):
            try:
                changed = seen(part, {**NEEDED[part], argument.name: other})
            except (TypeError, ValueError, AttributeError, ModelError):
                continue  # no value for this argument
            assert changed != plain, f"{part.__name__}: {argument.name}={other!r} instead of {value!r}"
            tried += 1
            break
    assert tried >= len(inspect.signature(part).parameters) / 2


class Halved(L.Layer):
    """A layer of the user's own, whose config does not tell what it does."""

    def __init__(self, factor, stddev=1.0):
        super().__init__()
        self.factor, self.stddev = [factor], stddev
        self.dropout = L.Dropout(0.5)

    def build(self, shape):
        self.scale = self.add_weight(
            shape=(shape[-1],), initializer=keras.initializers.RandomNormal(stddev=self.stddev)
        )

    def call(self, x, training=False):
        return self.dropout(x * self.scale * self.factor[0], training=training)

    def get_config(self):
        return {}


class Curious(L.Layer):
    """A layer of the user's own that asks a part of Keras for its number."""

    def __init__(self, rate):
        super().__init__()
        self.inner = L.Dropout(rate)

    def call(self, x, training=False):
        return self.inner(2 * x if self.inner.rate > 0.3 else x, training=training)


class Sum(keras.Model):
    def __init__(self, rate, layers):
        super().__init__()
        self.parts, self.dropout = [L.Dense(1) for _ in range(layers)], L.Dropout(rate)

    def call(self, x, training=False):
        return sum(part(self.dropout(x, training=training)) for part in self.parts)


def subclassed(rate=0.5, layers=2):
    def build():
        model = Sum(rate, layers)
        model.compile(O.SGD(0.1), "mse", metrics=[M.AUC()])
        return model

    return build


def powered(power):
    def loss(target, predicted):
        return keras.ops.mean(keras.ops.abs(target - predicted) ** power, axis=-1)

    return loss


def table(values):
    constant = np.array(values, np.float32)
    return lambda x: x * constant


def stopping(stops):
    return lambda x: keras.ops.stop_gradient(x) if stops else x


def keyed(seed):
    key = jax.random.key(seed)
    return lambda x: x * jax.random.uniform(key, (3,))


FOREIGN = {
    "a key in a closure": tuple(dense(activation=keyed(v)) for v in (1, 1, 2)),
    "a closure": tuple(network(loss=lambda p=p: powered(p)) for p in (1.5, 1.5, 1.6)),
    "an array in a closure": tuple(dense(activation=table(v)) for v in ([1, 2, 3], [1, 2, 3], [1, 2, 4])),
    "a gradient": tuple(dense(activation=stopping(v)) for v in (True, True, False)),
    "what a layer keeps": tuple(network(lambda f=f: Halved(f)) for f in (1.0, 1.0, 2.0)),
    "how a layer's weight begins": tuple(network(lambda s=s: Halved(1.0, s)) for s in (1.0, 1.0, 2.0)),
    "a number that a layer looks at": tuple(network(lambda r=r: Curious(r)) for r in (0.4, 0.5, 0.2)),
    "a number of a part of Keras": (subclassed(0.5), subclassed(0.25), subclassed(0.0)),
    "the layers of a subclassed model": (subclassed(), subclassed(), subclassed(layers=3)),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_models_with_parts_of_the_users_own_are_told_apart_by_what_they_do(what):
    """The first two do the same up to liftable numbers, the third does not."""
    one, same, other = (structure_of(build) for build in FOREIGN[what])
    assert one == same
    assert one != other


def test_a_class_that_extends_one_of_keras_is_told_apart_by_what_it_does():
    """It may read its rate in a way of its own, so the rate is not lifted."""
    rates = [structure_of(network(lambda r=r: type("Mine", (L.Dropout,), {})(r))) for r in (0.4, 0.5)]
    assert rates[0] != rates[1]


def test_numbers_with_other_keys_are_another_structure():
    """A layer that does nothing changes no program, but the place of the number behind it."""
    one = make_template(network(lambda: Halved(1.0)), BATCH)
    other = make_template(network(lambda: L.Activation("linear"), lambda: Halved(1.0)), BATCH)
    traced, again = (module._steps(t.model, BATCH, places(t.model)) for t in (one, other))
    assert traced == again
    assert structure(one, BATCH) != structure(other, BATCH)


def test_the_learning_rate_of_an_optimizer_of_the_users_own_is_a_number():
    class Mine(O.SGD):
        pass

    slow, fast, heavy = (
        structure_of(network(optimizer=lambda n=n: Mine(*n))) for n in [(0.1, 0.5), (0.2, 0.5), (0.1, 0.9)]
    )
    assert slow == fast
    assert slow != heavy


class Impatient(L.Layer):
    def __init__(self):
        super().__init__()
        self.inner = L.Dropout(0.5)

    def call(self, x):
        return x * float(self.inner.rate)


class Outside(L.Layer):
    def call(self, x):
        if isinstance(x, jax.core.Tracer):
            return jax.pure_callback(
                lambda v: v, jax.ShapeDtypeStruct(x.shape, x.dtype), jax.lax.stop_gradient(x)
            )
        return x


def computed():
    model = network()()
    model.layers[0].kernel.assign(0.1 * model.layers[0].kernel)
    return model


@pytest.mark.parametrize(
    ("build", "why"),
    [
        (network(Impatient), "Use keras.ops instead of math"),
        (network(Outside), "calls back into Python"),
        (computed, "known to its builder only"),
    ],
)
def test_what_cannot_be_compared_says_why(build, why):
    with pytest.raises(CannotCompare, match=why):
        structure_of(build)


SIZES, RATES = st.sampled_from([2, 3]), st.sampled_from([0.0, 0.25, 0.5])
LAYERS = st.one_of(
    st.tuples(st.just("dense"), SIZES, st.sampled_from(["relu", "tanh"]), RATES),
    st.tuples(st.just("dropout"), RATES),
    st.tuples(st.just("noise"), RATES),
    st.tuples(st.just("batch norm"), st.sampled_from([0.9, 0.99])),
    st.tuples(st.just("leaky"), RATES),
)
RECIPES = st.tuples(
    st.lists(LAYERS, max_size=3),
    st.sampled_from(["sgd", "adam"]),
    RATES,
    st.sampled_from([None, 1.0, 2.0]),
    st.sampled_from(["mse", "huber"]),
    RATES,
)
MADE = {
    "dense": lambda units, activation, l2: L.Dense(units, activation, kernel_regularizer=R.L1L2(0.0, l2)),
    "dropout": L.Dropout,
    "noise": L.GaussianNoise,
    "batch norm": lambda momentum: L.BatchNormalization(momentum=momentum),
    "leaky": lambda slope: L.ReLU(negative_slope=slope),
}


def recipe(drawn):
    layers, optimizer, momentum, clipnorm, loss, number = drawn
    makes = [lambda layer=layer: MADE[layer[0]](*layer[1:]) for layer in layers]
    make = {
        "sgd": lambda: O.SGD(0.1, momentum=momentum, clipnorm=clipnorm),
        "adam": lambda: O.Adam(0.1, beta_1=momentum, clipnorm=clipnorm),
    }
    losses = {"mse": "mse", "huber": lambda: F.Huber(number + 0.5)}
    return network(L.Flatten, *makes, optimizer=make[optimizer], loss=losses[loss])


@settings(max_examples=15, deadline=None)
@given(RECIPES)
def test_two_builds_of_one_builder_have_one_structure_and_the_same_numbers(drawn):
    one, other = (make_template(recipe(drawn), BATCH) for _ in range(2))
    assert structure(one, BATCH) == structure(other, BATCH)
    assert list(numbers(one.model).items()) == list(numbers(other.model).items())


@settings(max_examples=15, deadline=None)
@given(RECIPES, RECIPES, st.sets(st.integers(0, 5), max_size=2))
def test_equal_descriptions_mean_equal_programs(drawn, another, changed):
    """The attributes of Keras' own parts tell at least as much as the traced steps."""
    mixed = tuple(another[i] if i in changed else drawn[i] for i in range(6))
    templates = [make_template(recipe(each), BATCH) for each in (drawn, mixed)]
    one, other = (structure(template, BATCH) for template in templates)
    traced, again = (module._steps(t.model, BATCH, places(t.model)) for t in templates)
    if traced != again:
        assert one != other


def test_models_that_other_threads_build_meanwhile_get_their_first_values():
    """A builder is looked at in one thread; a person's other thread builds, and another one looks as well."""
    beside, looked = [], []

    def build():
        if threading.current_thread() is threading.main_thread() and not beside:
            other = threading.Thread(target=lambda: beside.append(L.Dense(2)(np.ones((1, 3)))))
            other.start()
            other.join()
        return network()()

    waiting = threading.Thread(target=lambda: looked.append(sketch_of(network(), BATCH)))
    with template_module.sketching():
        waiting.start()
        sketched = build()
    waiting.join()
    assert np.isfinite(np.asarray(beside[0])).all()
    for model in (sketched, *looked):
        assert all(np.isnan(one._value).all() for one in model.layers[-1].trainable_variables[:1])
    fresh = network()()
    assert np.isfinite(np.asarray(fresh.layers[-1].kernel)).all()
