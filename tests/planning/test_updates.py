"""Facts about counting batches, updates and trainings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caviar.errors import OptionError
from caviar.planning.updates import batches, shortened, workload

SIZES = st.integers(1, 5000).flatmap(lambda rows: st.tuples(st.just(rows), st.integers(1, rows)))


@given(SIZES)
def test_batches_hold_every_row_once(sizes):
    rows, batch = sizes
    found = batches(rows, batch)
    each = [found.size] * found.full + [found.last] * (found.last > 0)
    assert sum(each) == found.rows == rows
    assert len(each) == found.count == -(-rows // batch)
    assert 0 <= found.last < batch


@given(SIZES, st.integers(1, 100))
def test_shortened_rows_end_in_the_same_batch(sizes, most):
    rows, batch = sizes
    fewer = shortened(rows, batch, most)
    assert 1 <= fewer <= rows
    assert fewer % batch == rows % batch
    assert batches(fewer, batch).count == min(most, batches(rows, batch).count)


@given(
    st.integers(2, 3000),
    st.integers(2, 50),
    st.integers(1, 5),
    st.integers(1, 4),
    st.integers(1, 3),
    st.data(),
)
def test_every_row_is_held_out_once_in_every_repeat_of_a_cross_validation(
    rows, folds, repeats, seeds, trials, data
):
    folds = min(folds, rows)
    plan = workload(rows, 1, 1, folds=folds, repeats=repeats, seeds=seeds, trials=trials)
    assert sum(plan.training_rows.values()) == plan.trainings == folds * repeats * seeds * trials
    assert sum((rows - fit) * n for fit, n in plan.training_rows.items()) == rows * repeats * seeds * trials
    assert max(plan.training_rows) - min(plan.training_rows) <= 1
    batch, epochs = data.draw(st.integers(1, min(plan.training_rows))), data.draw(st.integers(1, 9))
    plan = workload(rows, batch, epochs, folds=folds, repeats=repeats, seeds=seeds, trials=trials)
    assert plan.updates == epochs * sum(-(-fit // batch) * n for fit, n in plan.training_rows.items())
    assert plan.updates <= plan.trainings * plan.updates_each


def test_two_hundred_rows_in_fives_for_a_thousand_epochs_are_forty_thousand_updates():
    plan = workload(200, 5, 1000)
    assert (plan.batches.count, plan.batches.last, plan.updates, plan.trainings) == (40, 0, 40_000, 1)


@pytest.mark.parametrize(
    ("batch", "method"), [(200, "batch"), (1, "stochastic"), (5, "mini-batch"), (199, "mini-batch")]
)
def test_gradient_descent_has_its_name_from_the_batch(batch, method):
    assert workload(200, batch, 1).method == f"{method} gradient descent"


def test_a_batch_of_all_rows_that_a_fold_leaves_is_batch_gradient_descent():
    assert workload(200, 180, 1, folds=10).method == "batch gradient descent"


@pytest.mark.parametrize(
    ("named", "numbers"),
    [
        ("1 <= batch <= rows", {"batch_size": 201}),
        ("1 <= batch <= rows", {"batch_size": 0}),
        ("180 of 200 with 10 folds", {"batch_size": 181, "folds": 10}),
        ("--rows", {"rows": 0}),
        ("--epochs", {"epochs": 0}),
        ("--repeats", {"repeats": 0}),
        ("--seeds", {"seeds": -1}),
        ("--trials", {"trials": 0}),
        ("2 <= folds <= rows", {"folds": 1}),
        ("2 <= folds <= rows", {"folds": 201}),
    ],
)
def test_a_number_that_makes_no_sense_is_refused_by_name(named, numbers):
    with pytest.raises(OptionError, match=named):
        workload(**({"rows": 200, "batch_size": 5, "epochs": 10} | numbers))
