"""Convolutions are laid out as the compiler's library takes them, give the same, and train one member at a time."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from caviar.population import convolutions, devices, fastest
from caviar.population.job import Job, Seat
from caviar.population.train import train
from caviar.population.written_out import written_out

devices.start()
import keras  # noqa: E402 - only once JAX is its backend

L = keras.layers
SHAPES = {1: (9,), 2: (9, 7), 3: (5, 6, 4)}
ORDERS = {
    1: (("NWC", "WIO", "NWC"), ("NCW", "OIW", "NCW"), ("CWN", "IOW", "WNC")),
    2: (("NHWC", "HWIO", "NHWC"), ("NCHW", "OIHW", "NHWC"), ("HWCN", "OHWI", "CNHW")),
    3: (("NDHWC", "DHWIO", "NDHWC"), ("NCDHW", "OIDHW", "NCDHW")),
}
OPTIONS = (
    {},
    {"window_strides": 2},
    {"rhs_dilation": 2},
    {"lhs_dilation": 2},
    {"feature_group_count": 2},
    {"batch_group_count": 3},
)
CASES = [(n, order, options) for n in SHAPES for order, options in product(ORDERS[n], OPTIONS)]


def in_order(named: dict[str, int], order: str) -> tuple[int, ...]:
    return tuple(named[axis] for axis in order)


@pytest.mark.parametrize(("n", "orders", "options"), CASES)
def test_a_convolution_and_its_gradients_are_the_same_laid_out(n, orders, options, monkeypatch):
    monkeypatch.setattr(convolutions, "LEAST", 0)
    axes = "WHD"[:n][::-1]
    sizes, groups = dict(zip(axes, SHAPES[n], strict=True)), options.get("feature_group_count", 1)
    rng = np.random.default_rng(0)
    x = rng.normal(size=in_order({"N": 6, "C": 4, **sizes}, orders[0])).astype(np.float32)
    kernel = dict.fromkeys(axes, 2) | {"I": 4 // groups, "O": 6}
    w = rng.normal(size=in_order(kernel, orders[1])).astype(np.float32)
    several = {
        k: (value,) * n if k.endswith(("strides", "dilation")) else value for k, value in options.items()
    }
    given = {"window_strides": (1,) * n, "padding": [(1, 0)] * n} | several

    def convolve(x, w):
        return lax.conv_general_dilated(x, w, dimension_numbers=orders, **given)

    def loss(x, w):
        return jnp.sin(convolve(x, w)).sum()

    for function in (convolve, jax.grad(loss, argnums=(0, 1))):
        ours, theirs = jax.jit(written_out(function))(x, w), jax.jit(function)(x, w)
        for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_inside_of_a_loop_the_library_computes_all_of_them(monkeypatch):
    """Rows first and channels last, filters last: any other order is computed number by number there."""
    monkeypatch.setattr(convolutions, "LEAST", 0)
    kernel, x = np.ones((3, 3, 2, 4), np.float32), np.ones((5, 8, 8, 2), np.float32)

    def trained(kernel):
        def loss(kernel):
            said = lax.conv_general_dilated(
                x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
            return (said**2).sum()

        return lax.scan(lambda k, _: (k - jax.grad(loss)(k), None), kernel, None, length=3)[0]

    def layouts(function) -> set[str]:
        text = jax.jit(function).lower(kernel).compile().as_text()
        return {part.split(",")[0].strip() for part in text.split("dim_labels=")[1:]}

    assert any(not layout.startswith("b01f_01io->b01f") for layout in layouts(trained))
    assert all(layout.startswith("b01f_01io->b01f") for layout in layouts(written_out(trained)))


def steps(kernel, rows, advance, last):
    """Three gradient steps on a convolution, one after the other in a loop."""

    def loss(kernel):
        said = lax.conv_general_dilated(
            rows, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        return (said**2).mean()

    return advance(lambda kernel: kernel - 0.1 * jax.grad(last(loss))(kernel), kernel)


def counted(step, kernel, times):
    """A loop whose length is not known when it is compiled."""
    return lax.fori_loop(0, times, lambda _, kernel: step(kernel), kernel)


def scanned(step, kernel, times):
    del times
    return lax.scan(lambda kernel, _: (step(kernel), None), kernel, None, length=3)[0]


@pytest.mark.parametrize("loop", [counted, scanned])
@pytest.mark.parametrize("last", [lambda loss: loss, jax.checkpoint])
def test_all_kinds_of_loops_are_entered_and_what_saves_memory_still_does(loop, last, monkeypatch):
    monkeypatch.setattr(convolutions, "LEAST", 0)
    rng = np.random.default_rng(0)
    kernel, rows = rng.normal(size=(3, 3, 2, 4)), rng.normal(size=(5, 8, 8, 2))

    def trained(kernel, rows, times):
        return steps(kernel, rows, lambda step, kernel: loop(step, kernel, times), last)

    given = kernel.astype(np.float32), rows.astype(np.float32), 3
    ours, theirs = jax.jit(written_out(trained)), jax.jit(trained)
    np.testing.assert_allclose(ours(*given), theirs(*given), rtol=1e-5, atol=1e-6)
    text = ours.lower(*given).compile().as_text()
    found = {part.split(",")[0].strip() for part in text.split("dim_labels=")[1:]}
    assert found
    assert all(layout.startswith("b01f_01io->b01f") for layout in found)
    twice = [str(jax.make_jaxpr(one)(*given)).count("prevent_cse") for one in (written_out(trained), trained)]
    assert twice[0] == twice[1]


def network() -> keras.Model:
    model = keras.Sequential(
        [keras.Input((6, 6, 1)), L.Conv2D(3, 3, activation="relu"), L.Conv2D(2, 2), L.Flatten(), L.Dense(1)]
    )
    model.compile(keras.optimizers.SGD(0.01), "mse")
    return model


def test_members_that_convolve_train_one_after_the_other_as_fit_trains_them(monkeypatch):
    monkeypatch.setattr(convolutions, "LEAST", 0)
    rng, none = np.random.default_rng(1), np.empty(0, np.int64)
    x, y = rng.normal(size=(30, 6, 6, 1)).astype(np.float32), rng.normal(size=(30, 1)).astype(np.float32)
    seats = [Seat(0, 0, seed, 0, np.arange(24), none, np.arange(24, 30)) for seed in range(6)]
    done = train(Job(network, x[None], y[None], None, seats, 8, 3, shuffle=False))
    assert done.engine == "population"
    if devices.start().kind == "cpu":
        assert "one member of a device after the other" in done.spread
    beside = train(Job(network, x[None], y[None], None, seats, 8, 3, shuffle=False, spread="vmap"))
    assert "asked for" in beside.spread
    for seat, said, other in zip(seats, done.outputs, beside.outputs, strict=True):
        np.testing.assert_allclose(said, other, rtol=1e-4, atol=1e-5)
        keras.utils.set_random_seed(seat.seed)
        model = network()
        model.fit(x[:24], y[:24], batch_size=8, epochs=3, shuffle=False, verbose=0)
        np.testing.assert_allclose(said, model.predict(x[24:], verbose=0), rtol=1e-4, atol=1e-5)


def test_only_steps_that_convolve_much_stand_alone(monkeypatch):
    x, kernel = jnp.ones((2, 5, 8, 8)), jnp.ones((4, 5, 3, 3))
    convolving = jax.make_jaxpr(
        lambda a: lax.scan(lambda b, _: (lax.conv(b, kernel, (1, 1), "SAME")[:, :1] + b, 0), a, length=3)
    )(x)
    for least, alone in ((2 * 4 * 8 * 8 * 5 * 9, True), (2 * 4 * 8 * 8 * 5 * 9 + 1, False)):
        monkeypatch.setattr(convolutions, "LEAST", least)
        assert fastest.stand_alone(convolving, "cpu") == alone
        assert not fastest.stand_alone(convolving, "gpu")
        assert not fastest.stand_alone(jax.make_jaxpr(jnp.sin)(x), "cpu")
