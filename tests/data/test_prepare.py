import json
import time

import numpy as np
import polars as pl
import pytest
import skops.io
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PowerTransformer, QuantileTransformer, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from caviar.data.load import load
from caviar.data.prepare import PreparationPlan, Prepared, SmoothClip, describe, fit_preparation
from caviar.data.schema import Column, Schema
from caviar.data.split import make_splits
from caviar.errors import DataError, RunError

COLUMNS = (
    Column(name="age", kind="numeric", has_missing=True),
    Column(name="smokes", kind="boolean"),
    Column(name="city", kind="category", categories=("a", "b", "c"), has_missing=True),
    Column(name="sex", kind="category", categories=("f", "m")),
)
SCHEMA = Schema(task="regression", task_reason="", columns=COLUMNS, targets=("y",))
FEATURES = np.array(
    [
        [1.0, 0.0, 0.0, 0.0],
        [3.0, 1.0, 1.0, 1.0],
        [np.nan, 0.0, np.nan, 0.0],
        [9.0, 1.0, 1.0, 1.0],
        [100.0, 0.0, 2.0, 0.0],
    ]
)
TARGET = np.array([[10.0], [20.0], [30.0], [40.0], [1000.0]])
ALL = np.arange(5)
SCALINGS = ["none", "standard", "robust", "quantile", "power"]
SHAPING = ["standard", "quantile", "power"]


def prepare(rows=ALL, features=FEATURES, target=TARGET, weight=None, **plan) -> Prepared:
    return fit_preparation(SCHEMA, PreparationPlan(**plan), features, target, rows=rows, weight=weight)


def test_gaps_are_filled_with_the_training_median_and_flagged_and_levels_become_columns():
    prepared = prepare(rows=np.array([0, 1, 2, 3]))
    assert prepared.names == (
        "age", "smokes", "age is missing",
        "city = a", "city = b", "city = c", "city is missing", "sex = f", "sex = m",
    )  # fmt: skip
    assert prepared.inputs(FEATURES)[2].tolist() == [3.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0]
    assert prepared.inputs(FEATURES).dtype == np.float32


def test_an_unknown_level_that_training_never_missed_is_all_zeros():
    row = FEATURES[:1].copy()
    row[0, 3] = np.nan
    assert prepare().inputs(row)[0, -2:].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("scaling", SCALINGS)
def test_the_width_does_not_depend_on_the_rows(scaling):
    widths = {
        prepare(rows=np.array(rows), scaling=scaling).inputs(FEATURES).shape[1] for rows in ([0, 1], [2], ALL)
    }
    assert widths == {9}


def test_codes_instead_of_columns_keep_one_input_per_category():
    prepared = prepare(one_hot=False)
    assert prepared.names == ("age", "smokes", "age is missing", "city", "sex")
    assert prepared.inputs(FEATURES)[2, -2:].tolist() == [-1.0, 0.0]


@pytest.mark.thorough
@pytest.mark.parametrize("scaling", SCALINGS)
@given(strange=st.lists(st.floats(-1e30, 1e30), min_size=3, max_size=3))
def test_rows_that_are_held_out_change_nothing(scaling, strange):
    train = np.array([0, 1, 3])
    changed, changed_target = FEATURES.copy(), TARGET.copy()
    changed[2, :2] = strange[:2]
    changed_target[4] = strange[2]
    changed[4] = np.nan
    before = prepare(rows=train, scaling=scaling, scale_target=True)
    after = prepare(rows=train, features=changed, target=changed_target, scaling=scaling, scale_target=True)
    assert np.array_equal(before.inputs(FEATURES), after.inputs(FEATURES))
    assert np.array_equal(before.target(TARGET), after.target(TARGET))


def by_scikit_learn(scaling: str, rows: int):
    """The same transform, put together from scikit-learn's parts; 60 rows or fewer have 10 quantiles."""
    quantiles = QuantileTransformer(n_quantiles=min(rows, 10), output_distribution="normal", subsample=None)
    return {
        "standard": StandardScaler(),
        "quantile": make_pipeline(quantiles, StandardScaler()),
        "power": PowerTransformer(method="yeo-johnson", standardize=True),
    }[scaling]


@pytest.mark.parametrize("scaling", SHAPING)
@given(
    table=arrays.arrays(
        np.float64,
        st.tuples(st.integers(4, 60), st.just(2)),
        # Whole thousandths: sums of numbers that nearly vanish beside others are no one's to compare.
        elements=st.integers(-1_000_000, 1_000_000).map(lambda n: n / 1000),
    )
)
@settings(max_examples=40, deadline=None)
def test_a_scaling_fitted_on_training_rows_is_scikit_learns_and_survives_saving(
    scaling, table, tmp_path_factory
):
    columns = tuple(Column(name=name, kind="numeric") for name in "ab")
    schema = Schema(task="regression", task_reason="", columns=columns, targets=("y",))
    rows = np.arange(0, len(table), 2)
    plan = PreparationPlan(scaling=scaling)
    prepared = fit_preparation(schema, plan, table, table[:, :1], rows=rows)
    wanted = by_scikit_learn(scaling, len(rows)).fit(table[rows]).transform(table)
    np.testing.assert_allclose(prepared.inputs(table), wanted, rtol=1e-5, atol=1e-6)
    folder = tmp_path_factory.mktemp("saved")
    prepared.save(folder)
    np.testing.assert_array_equal(Prepared.load(folder).inputs(table), prepared.inputs(table))


@pytest.mark.parametrize("scaling", ["quantile", "power"])
def test_skewed_columns_come_near_to_a_normal_distribution(scaling):
    """A lognormal column, one that is mostly zero, and one of two values: centred, of spread 1, and bounded."""
    rng = np.random.default_rng(0)
    skewed = np.exp(2 * rng.normal(size=400))
    columns = np.column_stack([skewed, np.where(rng.random(400) < 0.7, 0, skewed), rng.integers(0, 2, 400)])
    names = tuple(Column(name=name, kind="numeric") for name in "abc")
    schema = Schema(task="regression", task_reason="", columns=names, targets=("y",))
    plan = PreparationPlan(scaling=scaling)
    inputs = fit_preparation(schema, plan, columns, columns[:, :1], rows=np.arange(400)).inputs(columns)
    np.testing.assert_allclose(inputs.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(inputs.std(axis=0), 1, atol=1e-5)
    skewness = (inputs[:, 0] ** 3).mean()
    assert abs(skewness) < 0.5
    assert ((skewed - skewed.mean()) ** 3).mean() > 5 * skewed.std() ** 3


@pytest.mark.parametrize("scaling", SCALINGS)
def test_a_value_beyond_all_that_was_seen_gives_numbers(scaling):
    prepared = prepare(scaling=scaling)
    for value in (1e300, -1e300):
        strange = FEATURES.copy()
        strange[:, :2] = value
        assert np.isfinite(prepared.inputs(strange)).all()


def test_standard_scaling_gives_training_rows_mean_0_and_deviation_1():
    data = load("sample:wine")
    rows = np.arange(0, data.n_rows, 2)
    plan = PreparationPlan(scaling="standard")
    inputs = fit_preparation(data.schema, plan, data.features, data.target, rows=rows).inputs(
        data.features[rows]
    )
    assert np.allclose(inputs.mean(axis=0), 0, atol=1e-5)
    assert np.allclose(inputs.std(axis=0), 1, atol=1e-5)


def test_weights_count_in_means_and_deviations():
    doubled = np.array([0, 0, 1, 3])
    weight = np.array([2.0, 1.0, 5.0, 1.0, 5.0])
    by_weight = prepare(rows=np.array([0, 1, 3]), weight=weight, scale_target=True)
    by_rows = prepare(rows=doubled, scale_target=True)
    assert np.allclose(by_weight.target(TARGET), by_rows.target(TARGET))


def test_robust_scaling_keeps_the_middle_apart_and_bends_an_extreme_to_3():
    prepared = prepare(scaling="robust")
    assert np.all(np.abs(prepared.inputs(FEATURES)[:, :2]) <= 3)
    huge = FEATURES[:1].copy()
    huge[0, 0] = 1e300
    assert prepared.inputs(huge)[0, 0] == pytest.approx(3.0)


def test_robust_scaling_falls_back_on_the_range_where_most_values_are_equal():
    column = np.zeros((100, 1))
    column[:10, 0] = np.linspace(1000, 10_000, 10)
    schema = Schema(task="regression", task_reason="", columns=COLUMNS[:1], targets=("y",))
    plan = PreparationPlan(scaling="robust")
    prepared = fit_preparation(schema, plan, column, column, rows=np.arange(100))
    inputs = prepared.inputs(column)[:10, 0]
    assert inputs[0] < 0.25
    assert inputs[-1] == pytest.approx(2 / np.sqrt(1 + (2 / 3) ** 2))


def test_a_column_without_any_value_in_the_training_rows_is_filled_with_zero():
    assert prepare(rows=np.array([2]), scaling="robust").inputs(FEATURES[2:3])[0, 0] == 0.0


def test_a_scaled_target_is_restored():
    prepared = prepare(scale_target=True)
    scaled = prepared.target(TARGET)
    assert scaled.dtype == np.float32
    assert abs(scaled.mean()) < 1e-6
    assert np.allclose(prepared.restore(scaled), TARGET, rtol=1e-5)
    many = np.stack([scaled, scaled])
    assert np.allclose(prepared.restore(many), np.stack([TARGET, TARGET]), rtol=1e-5)


@pytest.mark.parametrize(("kind", "lowest"), [("log", 0.01), ("log1p", 0.0)])
@pytest.mark.parametrize("scale_target", [True, False])
def test_the_network_learns_a_logarithm_and_its_answer_comes_back_in_the_targets_units(
    kind, lowest, scale_target
):
    target = np.array([[lowest], [1.0], [20.0], [3e6]])
    prepared = prepare(
        rows=ALL[:4], features=FEATURES[:4], target=target, log_target=kind, scale_target=scale_target
    )
    learned = np.log(target) if kind == "log" else np.log1p(target)
    if scale_target:
        learned = (learned - learned.mean()) / learned.std()
    np.testing.assert_allclose(prepared.target(target), learned, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(prepared.restore(learned), target, rtol=1e-9, atol=1e-9)
    assert prepared.restore(np.array([[1e300]])) == np.inf  # a failed member, not a warning


@pytest.mark.parametrize(("kind", "lowest"), [("log", 0.0), ("log1p", -0.5)])
def test_a_target_without_a_logarithm_is_refused(kind, lowest):
    with pytest.raises(DataError, match=r"^Expected a target (above 0|of 0 or more)"):
        prepare(target=np.array([[5.0], [1.0], [lowest], [2.0], [7.0]]), log_target=kind)


def test_class_codes_pass_untouched():
    data = load("sample:iris")
    plan = PreparationPlan(scale_target=True)
    prepared = fit_preparation(data.schema, plan, data.features, data.target, rows=np.arange(150))
    assert prepared.target(data.target) is data.target
    assert prepared.restore(data.target) is data.target


@pytest.mark.parametrize("one_hot", [True, False])
@pytest.mark.parametrize("scaling", SCALINGS)
def test_a_saved_preparation_gives_the_same_bits(tmp_path, scaling, one_hot):
    prepared = prepare(scaling=scaling, scale_target=True, log_target="log", one_hot=one_hot)
    prepared.save(tmp_path / "new folder")
    again = Prepared.load(tmp_path / "new folder")
    assert np.array_equal(again.inputs(FEATURES), prepared.inputs(FEATURES))
    assert np.array_equal(again.restore(TARGET), prepared.restore(TARGET))
    assert (again.names, again.plan, again.schema) == (prepared.names, prepared.plan, prepared.schema)
    assert sorted(path.name for path in (tmp_path / "new folder").iterdir()) == [
        "preparation.json",
        "preparation.skops",
    ]


class Stranger(SmoothClip):
    """A transformer that Caviar does not know."""


def test_a_file_with_an_unknown_type_is_not_opened(tmp_path):
    prepare().save(tmp_path)
    skops.io.dump(
        {"numbers": [Stranger()], "missing": None, "categories": None}, tmp_path / "preparation.skops"
    )
    with pytest.raises(RunError, match="Stranger"):
        Prepared.load(tmp_path)


def test_a_file_that_holds_something_else_is_refused(tmp_path):
    prepare().save(tmp_path)
    skops.io.dump(DecisionTreeClassifier(), tmp_path / "preparation.skops")
    with pytest.raises(RunError, match="something else"):
        Prepared.load(tmp_path)


@pytest.mark.parametrize("damaged", ["preparation.skops", "preparation.json"])
def test_a_damaged_or_missing_file_is_named(tmp_path, damaged):
    prepare().save(tmp_path)
    (tmp_path / damaged).write_bytes(b"{}")
    with pytest.raises(RunError, match="Expected"):
        Prepared.load(tmp_path)
    (tmp_path / damaged).unlink()
    with pytest.raises(RunError, match="Expected"):
        Prepared.load(tmp_path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="Expected to write"):
        prepare().save(tmp_path / "file")


def test_nothing_half_written_is_left(tmp_path, monkeypatch):
    prepare().save(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(RunError, match="No space left"):
        prepare(scaling="robust").save(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_the_saved_facts_are_plain_json(tmp_path):
    prepare().save(tmp_path)
    assert json.loads((tmp_path / "preparation.json").read_text())["plan"]["one_hot"] is True


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_the_smooth_clip_keeps_order_and_sign_and_stays_inside(values):
    ordered = np.sort(np.array(values))[:, None]
    bent = SmoothClip().fit_transform(ordered)
    assert np.all(np.diff(bent[:, 0]) >= 0)
    assert np.all(np.abs(bent) <= 3)
    assert np.array_equal(np.sign(bent), np.sign(ordered))


def test_the_description_names_what_happens():
    sentence = describe(SCHEMA, PreparationPlan(scaling="robust", scale_target=True))
    assert sentence == (
        "2 numeric columns divided by their interquartile range, with outliers bent smoothly to at most 3; "
        "2 category columns turned into columns of 0 and 1; "
        "gaps in 1 numeric column filled with the median and flagged; "
        "target brought to mean 0 and standard deviation 1; fitted on training rows only."
    )


def test_all_folds_have_one_width_though_a_level_is_absent_from_some():
    levels = ["common"] * 38 + ["rare"] * 2
    frame = pl.DataFrame({"x": range(40), "c": levels, "y": [0, 1] * 20})
    data = load(frame, "y")
    splits = make_splits(data, folds=20, repeats=1, seed=0)
    prepared = [
        fit_preparation(data.schema, PreparationPlan(), data.features, data.target, rows=split.train)
        for split in splits
    ]
    assert {p.inputs(data.features).shape for p in prepared} == {(40, 3)}


def test_seventy_thousand_rows_are_prepared_in_well_under_a_second(real_table):
    data = load(real_table("cardio_train.csv"), "cardio", drop="id")
    plan = PreparationPlan(scaling="robust")
    start = time.process_time()
    prepared = fit_preparation(data.schema, plan, data.features, data.target, rows=np.arange(63_000))
    prepared.inputs(data.features)
    assert time.process_time() - start < 1.5
