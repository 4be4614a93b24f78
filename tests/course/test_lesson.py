"""A kept lesson is shown again only if nothing that made or judged it has changed; a loop is timed once a kind."""

import sys
from dataclasses import replace
from functools import partial

import keras
import numpy as np
import pytest

import caviar.course.lesson  # noqa: F401 - the module, behind the function of its name
from caviar.teaching.contract import Variant
from tests.lessons.small import LESSON, build, rows

module = sys.modules["caviar.course.lesson"]


def key() -> str:
    return module._key("text", 30, 1.0, rows())


@pytest.mark.parametrize("judge", module.JUDGES, ids=lambda one: one.__name__)
def test_a_changed_judge_makes_another_record(judge, monkeypatch):
    before, source = key(), module.inspect.getsource
    assert key() == before
    monkeypatch.setattr(
        module.inspect, "getsource", lambda one: source(one) + ("# changed" if one is judge else "")
    )
    assert key() != before


@pytest.mark.parametrize("package", ["caviar", "keras", "jax"])
def test_another_version_makes_another_record(package, monkeypatch):
    before, version = key(), module.version
    monkeypatch.setattr(module, "version", lambda name: "0.0.0" if name == package else version(name))
    assert key() != before


def test_a_kept_lesson_is_run_again_once_statistics_are_mended(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "find_lesson", lambda _: (LESSON, "text"))
    run = partial(module.lesson, "small", quick=True, out=tmp_path, quiet=True)
    assert [run().is_kept, run().is_kept] == [False, True]
    source = module.inspect.getsource
    monkeypatch.setattr(module.inspect, "getsource", lambda one: source(one) + "# mended")
    assert [run().is_kept, run().is_kept] == [False, True]


def adam(n_inputs: int = 2) -> keras.Model:
    model = build(n_inputs)
    model.compile("adam", "binary_crossentropy")
    return model


def wide(n_inputs: int = 2, units: int = 5) -> keras.Model:
    layers = [keras.layers.Dense(units), keras.layers.Dense(1, activation="sigmoid")]
    model = keras.Sequential([keras.Input((n_inputs,)), *layers])
    model.compile("sgd", "binary_crossentropy")
    return model


def test_variants_of_one_structure_are_timed_once_and_others_by_themselves(monkeypatch):
    """Seconds are planted: 2 an epoch, the first 5 more, and ten times that for the wide network."""
    timed: list[str] = []

    def seconds(variant: Variant, _: object, times: int) -> np.ndarray:
        timed.append(variant.name)
        return (10 if variant.build is wide else 1) * np.array([7.0] + [2.0] * times)

    monkeypatch.setattr(module, "fit_seconds", seconds)
    base = Variant("slow", "", partial(build, rate=0.1), batch_size=8, epochs=4)
    variants = [
        base,
        replace(base, name="fast", build=partial(build, rate=0.5)),
        replace(base, name="wide", build=wide),
        replace(base, name="wider", build=partial(wide, units=6)),
        replace(base, name="adam", build=adam),
        replace(base, name="batch", batch_size=16),
    ]
    seen = module.teach(
        replace(LESSON, variants=variants, also=None),
        rows(),
        [1, 2],
        None,
        module.Pace(module.Voice(quiet=True), module.Clock(None), ""),
    )
    found = module._loop_seconds(variants, rows(), seen)
    assert timed == ["slow", "wide", "wider", "adam", "batch"]
    # Two seeds of four epochs each, and each compiles once.
    assert found == pytest.approx(5 * (2 * 5 + 8 * 2) + 10 * (2 * 5 + 8 * 2))
