import time

import numpy as np
import polars as pl
import pytest

from caviar.data.load import load
from caviar.data.profile import NOTICES, _look, profile

RNG = np.random.default_rng(0)
N = 400
HEALTHY = {"a": RNG.normal(size=N), "b": RNG.uniform(-2, 2, size=N)}
LABEL = RNG.integers(0, 2, size=N)


def remarks(target="y", **columns) -> dict[str, str]:
    """Codes and texts of what is noticed in a healthy table with the given columns put in."""
    frame = pl.DataFrame({**HEALTHY, "y": LABEL} | columns)
    return {remark.code: remark.text for remark in profile(load(frame, target)).remarks}


def test_a_healthy_table_gives_no_remark():
    assert remarks() == {}


def with_gaps(values, share=0.1):
    return [None if i < share * N else float(v) for i, v in enumerate(values)]


def first_rows_again(columns):
    return {name: np.concatenate([values[:-5], values[:5]]) for name, values in columns.items()}


@pytest.mark.parametrize(
    ("code", "columns", "words"),
    [
        ("missing", {"a": with_gaps(HEALTHY["a"])}, "most in 'a', 10%"),
        ("missing", {"a": with_gaps(HEALTHY["a"], 0.6)}, "--drop a"),
        ("constant", {"c": np.ones(N)}, "'c' holds the same value"),
        ("duplicates", {**first_rows_again({**HEALTHY, "y": LABEL})}, "5 rows repeat"),
        ("imbalance", {"y": (np.arange(N) < 12).astype(int)}, "'1' has 12 rows (3.0%)"),
        ("unscaled", {"c": RNG.normal(size=N) * 1000}, "'c' reaches"),
        ("outliers", {"c": np.where(np.arange(N) < 3, 12.0, HEALTHY["a"])}, "'c' 3 (0.8%)"),
        ("heavy-tails", {"c": np.where(np.arange(N) < 1, -90.0, HEALTHY["a"])}, "goes to -90"),
        ("zeros", {"c": np.where(np.arange(N) < 40, 0.0, RNG.uniform(0.8, 1.2, N))}, "40 rows, 10%"),
        ("identifier", {"c": np.arange(N) + 7}, "--drop c"),
        ("identifier", {"patient_id": RNG.permutation(N)}, "'patient_id' looks like an identifier"),
        ("leak", {"c": LABEL + 0.1 * HEALTHY["a"]}, "'c' alone predicts"),
        ("leak", {"c": np.where(LABEL == 1, RNG.choice([-1.0, 1.0], N), 0) + 0.01 * HEALTHY["a"]}, "1.000"),
        ("leak", {"c": np.where(LABEL == 1, "yes", "never")}, "--drop c"),
        ("leak", {"c": [None if y else 0.5 + i for i, y in enumerate(LABEL)]}, "'c'"),
        ("leak", {"y": np.exp(HEALTHY["a"])}, "rank correlation 1.000"),
        ("dates", {"c": pl.Series(RNG.integers(0, 99, N)).cast(pl.Date)}, "--time c"),
    ],
)
def test_a_planted_trouble_is_noticed_and_says_what_to_do(code, columns, words):
    assert words in remarks(**columns)[code]


@pytest.mark.parametrize(
    ("code", "columns"),
    [
        ("leak", {"c": LABEL + HEALTHY["a"]}),
        ("leak", {"y": HEALTHY["a"] + 0.5 * HEALTHY["b"]}),
        ("identifier", {"c": np.sort(RNG.normal(size=N))}),
        ("identifier", {"patient_id": RNG.integers(0, 30, N)}),
        ("zeros", {"c": RNG.integers(0, 30, N)}),
        ("outliers", {"c": (np.arange(N) < 10).astype(float)}),
        ("imbalance", {"y": (np.arange(N) < 150).astype(int)}),
    ],
)
def test_what_only_looks_similar_is_not_noticed(code, columns):
    assert code not in remarks(**columns)


def test_identical_rows_with_different_labels_contradict_each_other():
    repeated = first_rows_again(HEALTHY)
    label = np.concatenate([LABEL[:-5], 1 - LABEL[:5]])
    record = profile(load(pl.DataFrame({**repeated, "y": label}), "y"))
    assert record.duplicates == 5
    assert record.contradictions == 5
    regression = profile(load(pl.DataFrame({**repeated, "y": np.arange(N) / 7}), "y"))
    assert regression.contradictions == 5


def test_small_and_wide_tables_are_noticed():
    features = np.random.default_rng(0).normal(size=(30, 40))
    codes = [remark.code for remark in profile(load((features, np.arange(30) % 2))).remarks]
    assert codes == ["few-rows", "wide"]


def test_the_record_holds_the_facts_of_every_column():
    frame = pl.DataFrame(
        {
            "size": [1.0, 2.0, 3.0, None] * 50,
            "flag": [True, False] * 100,
            "kind": ["a", "b", "a", "c"] * 50,
            "day": pl.Series([0, 1, 2, 3] * 50).cast(pl.Date),
            "y": [0.5, 1.5, -2.5, 9.0] * 50,
        }
    )
    record = profile(load(frame, "y", name="facts"))
    size, flag, kind, day = record.columns
    assert (size.missing, size.distinct, size.low, size.median, size.high) == (50, 3, 1.0, 2.0, 3.0)
    assert (flag.kind, flag.low, flag.high) == ("boolean", 0.0, 1.0)
    assert kind.example == "a (100), b (50), c (50)"
    assert kind.low is None
    assert day.example == "1970-01-01 to 1970-01-04"
    assert (record.target_low, record.target_high) == ([-2.5], [9.0])
    assert (record.name, record.rows, record.class_counts) == ("facts", 200, [])


def test_what_was_noticed_while_loading_comes_first():
    dataset = load(pl.DataFrame({**HEALTHY, "z": [None] * N, "y": LABEL}))
    assert [remark.code for remark in profile(dataset).remarks] == ["default-target", "empty"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sonar.csv", {"outliers"}),
        ("mammography.csv", {"duplicates", "contradictions", "imbalance", "outliers", "heavy-tails"}),
        ("pima-indians-diabetes.csv", {"unscaled", "outliers", "zeros"}),
    ],
)
def test_the_known_quirks_of_real_tables_are_noticed(real_table, name, expected):
    record = profile(load(real_table(name), -1))
    assert {remark.code for remark in record.remarks} - {"read"} == expected
    if name.startswith("mammography"):
        assert (record.duplicates, record.contradictions) == (3335, 1)


def test_seventy_thousand_rows_are_looked_at_in_seconds(real_table):
    dataset = load(real_table("cardio_train.csv"), "cardio")
    start = time.process_time()
    record = profile(dataset)
    assert time.process_time() - start < 4
    assert {remark.code for remark in record.remarks} == {
        "read", "unscaled", "outliers", "heavy-tails", "identifier",
    }  # fmt: skip


@pytest.mark.parametrize("notice", NOTICES)
def test_every_notice_survives_a_table_of_extremes(notice, make_dataset):
    """Columns with one value, with none in some rows, and two rows only: nothing warns, nothing fails."""
    features = np.array([[1.0, np.nan, 0.0], [1.0, 5.0, 1e300], [1.0, np.nan, -1e300], [1.0, np.nan, 0.0]])
    dataset = make_dataset(features, np.array([0, 1, 0, 1]))
    seen = [_look(column, features[:, i]) for i, column in enumerate(dataset.schema.columns)]
    remark = notice(dataset, seen)
    assert remark is None or remark.text.endswith(".")
