"""What the lessons on early stopping, noise, dropout and frameworks compute themselves is what it is said to be."""

from types import SimpleNamespace

import numpy as np
import pytest

from caviar.errors import ModelError
from caviar.evaluate.claims import judge
from caviar.lessons import dropout, early_stopping, frameworks, noise
from caviar.teaching.seen import Seen


def test_what_differs_whoever_watches_is_no_flattery():
    """Test rows are 0.05 worse than fresh ones in both ways, and watched ones gain 0.02 in one of two draws."""
    scores = {
        "accuracy, test rows watched, test": np.array([0.75, 0.77]),
        "accuracy, inner rows watched, test": np.array([0.65, 0.65]),
        "accuracy, test rows watched, fresh": np.array([0.8, 0.8]),
        "accuracy, inner rows watched, fresh": np.array([0.7, 0.7]),
        "loss, test rows watched, test": np.array([0.6, 0.5]),
        "loss, inner rows watched, test": np.array([0.7, 0.7]),
        "loss, test rows watched, fresh": np.array([0.5, 0.5]),
        "loss, inner rows watched, fresh": np.array([0.6, 0.6]),
    }
    seen = Seen(None, (1, 2), {}, scores)
    np.testing.assert_allclose(early_stopping.by_watching(seen, "accuracy"), [0, 0.02], atol=1e-12)
    np.testing.assert_allclose(early_stopping.by_watching(seen, "loss"), [0, 0.1], atol=1e-12)


def test_thirty_trainings_of_thirty_that_stop_early_decide_that_they_do():
    lesson = early_stopping.LESSON
    every = np.ones(30, bool)
    assert judge(every, lesson.claims[0].holds, 1 - 0.05 / len(lesson.claims))[1] == "holds"


@pytest.mark.parametrize(("lesson", "variant"), [(early_stopping.LESSON, "stop"), (noise.LESSON, "hidden")])
def test_reports_stand_beside_the_rows_that_they_are_about(lesson, variant):
    seen = SimpleNamespace(accuracy=lambda name, rows="test": (name, rows))
    found = [(one.what, one.measure(seen)) for one in lesson.reported]
    assert found == 2 * [("train accuracy", (variant, "train")), ("test accuracy", (variant, "test"))]


def test_folds_are_reported_by_their_mean_and_their_deviation():
    """Each network's own: three networks of two folds each, one seed."""
    folds = {"baseline": [0.8, 0.9], "visible": [0.7, 0.7], "hidden": [0.5, 0.9]}
    seen = SimpleNamespace(
        accuracy=lambda name: np.array([np.mean(folds[name])]),
        by_fold=lambda name, *_: np.array([folds[name]]),
    )
    found = {(one.variant, one.value): one.measure(seen).item() for one in dropout.LESSON.reported}
    wanted = {86.04: 85, 4.58: 5, 83.52: 70, 7.68: 0, 83.59: 70, 7.31: 20}
    assert {value for _, value in found} == set(wanted)
    for (_, value), ours in found.items():
        assert ours == pytest.approx(wanted[value])


def test_a_backend_that_takes_too_long_is_given_up_in_a_sentence(monkeypatch):
    monkeypatch.setattr(frameworks, "LONGEST", 0.01)
    with pytest.raises(ModelError, match=r"backend numpy within 0\.01 seconds"):
        frameworks.on_backend("numpy", {"times": 5})
