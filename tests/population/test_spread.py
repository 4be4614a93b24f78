"""How members are spread over a step, and which way is chosen."""

import tempfile
from dataclasses import replace

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caviar.errors import OptionError
from caviar.population import devices, fastest, spread
from caviar.population.job import Job
from caviar.population.train import train
from tests.population.conftest import assert_equals_fit

L = keras.layers


def small():
    model = keras.Sequential([keras.Input((6,)), L.Dense(5, "relu"), L.Dropout(0.2), L.Dense(1)])
    model.compile(keras.optimizers.Adam(0.01), "mse")
    return model


@given(
    way=st.sampled_from(list(spread.WAYS)),
    members=st.integers(1, 1000),
    bytes_each=st.integers(4, 10**7),
    largest=st.integers(1, 10**6),
    spare=st.floats(0, 100),
)
def test_tiles_waste_little_or_hardly_any_time(way, members, bytes_each, largest, spare):
    """Members that fill the last tile up take little of the time, or may be spared; one alone is alone."""
    width = spread.width(way, members, bytes_each, largest, spare)
    filling = -members % width
    if way == spread.LAST:
        assert width % spread.VECTOR == 0
        assert filling <= max(spread.VECTOR + 0.1 * (members + spread.VECTOR), spare)
    else:
        assert width <= 16
        assert filling <= max(0.15 * members + 1, spare)
        assert filling == 0 or members > 1


@given(members=st.integers(2, 200), more=st.integers(2, 200))
def test_short_trainings_of_any_number_of_members_have_tiles_of_one_width(members, more):
    assert spread.width("vmap", members, 1000, 50, 1e6) == spread.width("vmap", more, 1000, 50, 1e6) == 16


def test_elsewhere_all_members_stand_side_by_side(monkeypatch):
    monkeypatch.setattr(spread.devices, "start", lambda: devices.Devices("gpu", 1, 2))
    assert spread.width("vmap", 777, 1000) == 777


def test_operations_are_divided_only_where_there_are_more_cores_than_devices(monkeypatch):
    def options(count, cores):
        monkeypatch.setattr(spread.devices, "start", lambda: devices.Devices("cpu", count, cores))
        return spread.compiler_options()

    assert options(2, 2) == options(4, 2) == {"xla_disable_hlo_passes": "cpu-parallel-task-assigner"}
    assert options(1, 2) == {}


@pytest.mark.thorough
@pytest.mark.parametrize("width", [1, 2, 3])
def test_the_width_of_tiles_does_not_show(width, binary_rows, seats_of, monkeypatch):
    """Tiles of any width on the first axis, the last of them filled up or not; left alone, all four of a device."""
    x, y = binary_rows
    job = Job(small, x[None], y[None], None, seats_of(100, 2, seeds=(1, 2, 3, 4)), 16, 3, spread="vmap")
    together = train(job)
    monkeypatch.setattr(spread, "_MOST_ON_FIRST", width)
    monkeypatch.setattr(spread, "_FEWEST_ON_FIRST", width)
    tiled = train(job)
    for one, other in zip(together.outputs, tiled.outputs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)


@pytest.mark.thorough
@pytest.mark.parametrize("way", spread.WAYS)
def test_the_same_population_spread_the_same_way_gives_the_same_bits(way, binary_rows, seats_of):
    x, y = binary_rows
    job = Job(small, x[None], y[None], None, seats_of(100, 3, seeds=(1, 2)), 16, 4, spread=way)
    first, second = train(job), train(job)
    assert first.way == second.way == way
    assert first.spread == second.spread == first.history.attrs["spread"] == f"{spread.WAYS[way]}: asked for"
    assert all(np.array_equal(a, b) for a, b in zip(first.outputs, second.outputs, strict=True))
    assert first.history.drop_attrs().identical(second.history.drop_attrs())


@pytest.mark.thorough
def test_tiles_whose_members_have_equal_last_batches_take_only_those(binary_rows, seats_of, monkeypatch):
    """66 or 67 rows in batches of 16: two last batches, one of them in all tiles of 16 members but one."""
    x, y = binary_rows
    monkeypatch.setattr(spread, "_TILE", 16)
    seats = seats_of(100, folds=3, seeds=tuple(range(16)))
    job = Job(small, x[None], y[None], None, seats, 16, 3, spread="last")
    assert sorted({len(seat.fit) for seat in seats}) == [66, 67]
    trained = train(job)
    for member in (0, 2, 31, 47):
        assert_equals_fit(job, trained, member)


def test_an_unknown_way_is_refused(binary_rows, seats_of):
    x, y = binary_rows
    with pytest.raises(OptionError, match=r"Expected spread to be one of 'auto', .* got 'sideways'"):
        train(Job(small, x[None], y[None], None, seats_of(100, 2), 16, 2, spread="sideways"))


@pytest.mark.thorough
def test_a_choice_made_once_gives_the_same_bits_when_asked_for(binary_rows, seats_of, monkeypatch, tmp_path):
    """All is worth a trial here; what training gives does not show that there was one."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(fastest, "_WORTH_SECONDS", 0.0)
    monkeypatch.setattr(fastest, "_FEWEST_EPOCHS", 1)
    x, y = binary_rows
    job = Job(small, x[None], y[None], None, seats_of(100, 4, seeds=tuple(range(8))), 16, 3)
    chosen = train(job)
    assert "times as fast here as" in chosen.spread
    again = train(replace(job, spread=chosen.way))
    assert all(np.array_equal(a, b) for a, b in zip(chosen.outputs, again.outputs, strict=True))


@pytest.mark.thorough
def test_a_short_run_tries_nothing(binary_rows, seats_of):
    x, y = binary_rows
    trained = train(Job(small, x[None], y[None], None, seats_of(100, 2), 16, 2))
    assert trained.way == "vmap"


def trial(seconds, epochs=1000, asked="auto", refuses=(), home=None):
    """A choice between ways that take so many seconds per epoch, on a clock and in a home of its own."""
    now = [0.0]
    tried = []

    def prepare(way):
        if way in refuses:
            raise fastest.CannotRun("it is not known how")
        tried.append(way)

        def run():
            now[0] += seconds[way]

        return run

    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as empty:
        patch.setattr(fastest.time, "perf_counter", lambda: now[0])
        patch.setenv("XDG_CACHE_HOME", str(home or empty))
        return fastest.choose(asked, tuple(seconds), epochs, prepare, "some population"), tried


def test_the_fastest_way_is_chosen_and_said_to_be():
    choice, tried = trial({"vmap": 0.42, "last": 0.2})
    assert choice == fastest.Choice(
        "last", "members side by side on the last axis: 2.1 times as fast here as 'vmap'"
    )
    assert tried == ["vmap", "last"]
    assert trial({"vmap": 0.1, "last": 0.2})[0].way == "vmap"


def test_nothing_else_is_compiled_where_that_cannot_pay():
    assert trial({"vmap": 0.001, "last": 0.0001})[1] == ["vmap"]
    assert trial({"vmap": 50.0, "last": 1.0}, epochs=3)[1] == []
    assert trial({"vmap": 1.0, "last": 0.1}, asked="last") == (
        fastest.Choice("last", "members side by side on the last axis: asked for"),
        [],
    )
    assert trial({"vmap": 1.0})[1] == []


def test_a_way_that_cannot_run_is_left_out_and_named():
    choice, _ = trial({"vmap": 1.0, "last": 0.1}, refuses=("last",))
    assert choice.way == "vmap"
    assert "not members side by side on the last axis: it is not known how" in choice.why


def test_what_was_found_is_remembered_so_that_bits_do_not_depend_on_the_clock(tmp_path):
    """Another day the other way would be faster; the same population takes the same way as before."""
    first, _ = trial({"vmap": 1.0, "last": 0.1}, home=tmp_path)
    again, tried = trial({"vmap": 0.1, "last": 1.0}, home=tmp_path)
    assert (again, tried) == (first, [])
    (note,) = (tmp_path / "caviar" / "ways").iterdir()
    note.write_text('{"way": "sideways"}')
    assert trial({"vmap": 0.1, "last": 1.0}, home=tmp_path)[0].way == "vmap"
    assert trial({"vmap": 1.0, "last": 0.1}, epochs=999, home=tmp_path)[1] == ["vmap", "last"]


def traced(*shapes, function=lambda a, b: jnp.tanh(a @ b).sum()):
    return jax.make_jaxpr(jax.jit(jax.grad(function, (0, 1))))(*(jnp.zeros(shape) for shape in shapes))


def test_sensible_ways_depend_on_products_members_and_devices():
    narrow, wide = traced((32, 10), (10, 20)), traced((32, 64), (64, 64))
    assert fastest.sensible(narrow, 150, "cpu") == ("vmap", "last")
    assert fastest.sensible(narrow, 2, "cpu") == ("vmap",)
    assert fastest.sensible(narrow, 150, "gpu") == ("vmap",)
    assert fastest.sensible(wide, 150, "cpu") == ("vmap",)
    assert fastest.sensible(traced((256, 4), (4, 4)), 150, "cpu") == ("vmap",)
    assert fastest.sensible(traced((32, 20), (20, 32)), 150, "cpu") == ("vmap",)
    half = traced(
        (32, 10), (10, 20), function=lambda a, b: (a.astype(jnp.bfloat16) @ b.astype(jnp.bfloat16)).sum()
    )
    assert fastest.sensible(half, 150, "cpu") == ("vmap",)
    convolution = traced(
        (2, 1, 8, 8), (1, 1, 3, 3), function=lambda a, b: jax.lax.conv(a, b, (1, 1), "SAME").sum()
    )
    assert fastest.sensible(convolution, 150, "cpu") == ("vmap",)
    assert fastest.sensible(convolution, 1, "cpu") == ("vmap",)
