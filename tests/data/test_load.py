import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from caviar.data.load import load, load_rows, load_test
from caviar.data.samples import SAMPLES
from caviar.data.schema import Schema
from caviar.errors import CaviarError, DataError, OptionError

ROWS = 40


def table(**columns) -> pl.DataFrame:
    """A table of 40 rows with an input `x`, a target `y` of two classes, and what else is given."""
    return pl.DataFrame(
        {"x": [float(i) for i in range(ROWS)], **columns, "y": columns.get("y", ["no", "yes"] * 20)}
    )


def codes(dataset) -> list[str]:
    return [remark.code for remark in dataset.remarks]


# --- the real tables -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "target", "shape", "class_rows"),
    [
        ("sonar.csv", "60", (208, 60), {"M": 111, "R": 97}),
        ("mammography.csv", -1, (11183, 6), {"'-1'": 10923, "'1'": 260}),
        ("pima-indians-diabetes.csv", "8", (768, 8), {"0": 500, "1": 268}),
        ("cardio_train.csv", "cardio", (70000, 12), {"0": 35021, "1": 34979}),
    ],
)
def test_real_tables_are_read_whole_with_their_labels_as_spelled(real_table, name, target, shape, class_rows):
    dataset = load(real_table(name), target)
    assert dataset.features.shape == shape
    assert dict(zip(dataset.schema.classes, np.bincount(dataset.target).tolist(), strict=True)) == class_rows
    assert dataset.schema.read.separator == (";" if name.startswith("cardio") else ",")
    assert dataset.schema.read.header is name.startswith("cardio")
    assert not np.isnan(dataset.features).any()


def test_a_real_table_gives_the_same_numbers_when_its_rows_come_again(real_table):
    dataset = load(real_table("mammography.csv"))
    schema = Schema.model_validate_json(dataset.schema.model_dump_json())
    assert schema == dataset.schema
    features, target, weight = load_test(real_table("mammography.csv"), schema)
    assert np.array_equal(features, dataset.features)
    assert np.array_equal(target, dataset.target)
    assert weight is None


@pytest.mark.parametrize("sample", SAMPLES)
def test_every_sample_knows_its_target(sample):
    dataset = load(f"sample:{sample}")
    assert dataset.name == sample
    assert dataset.is_classification is (sample != "diabetes")
    assert "default-target" not in codes(dataset)


def test_an_unknown_sample_is_refused_with_the_list():
    with pytest.raises(DataError, match="breast-cancer"):
        load("sample:titanic")


# --- sources ---------------------------------------------------------------------------------------------


def test_file_frame_and_arrays_give_the_same_dataset(write):
    pandas = pytest.importorskip("pandas")
    features, target = np.random.default_rng(0).normal(size=(ROWS, 2)), np.arange(ROWS) % 2
    frame = pl.DataFrame({"0": features[:, 0], "1": features[:, 1], "target": target})
    sources = [
        (features, target),
        frame,
        pandas.DataFrame(frame.to_dict(as_series=False)),
        write(frame.write_csv()),
        np.column_stack([features, target]),
    ]
    for source in sources:
        dataset = load(source)
        assert np.array_equal(dataset.features, features)
        assert np.array_equal(dataset.target, target)
        assert dataset.schema.classes == ("0", "1")


def test_several_targets_are_predicted_together():
    rng = np.random.default_rng(0)
    dataset = load((rng.normal(size=(ROWS, 3)), rng.normal(size=(ROWS, 2))))
    assert dataset.task == "multi-output regression"
    assert dataset.n_outputs == 2
    assert dataset.schema.targets == ("target 0", "target 1")
    by_position = load(rng.normal(size=(ROWS, 5)), [-1, "3"])
    assert by_position.schema.targets == ("4", "3")
    assert by_position.target.shape == (ROWS, 2)


def test_a_digit_means_a_position_unless_a_column_has_that_name():
    frame = pl.DataFrame({"1": [0, 1] * 20, "a": range(ROWS), "b": [0.5, 1.5] * 20})
    assert load(frame, "1").schema.targets == ("1",)
    assert load(frame, 1).schema.targets == ("a",)
    assert load(frame, "2").schema.targets == ("b",)


def test_an_unnamed_target_is_the_last_column_and_a_remark_says_so(write):
    dataset = load(write("a,b\n1,2\n3,4\n5,7\n"))
    assert dataset.schema.targets == ("b",)
    assert codes(dataset) == ["read", "default-target"]
    assert "separator ',', header yes, utf-8" in dataset.remarks[0].text


# --- tasks -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "task"),
    [
        (["M", "R"] * 100, "binary"),
        ([True, False] * 100, "binary"),
        ([1, 2] * 100, "binary"),
        ([-1.0, 1.0] * 100, "binary"),
        ([0, 1, 2, 3] * 50, "multiclass"),
        ([0.5, 1.5] * 100, "regression"),
        (list(range(200)), "regression"),
        ([*[0, 1, 2] * 66, 3, 3], "multiclass"),
        ([*[0, 1, 2] * 66, 0, 9], "regression"),
        (list(range(20)) * 10, "regression"),
    ],
)
def test_the_task_follows_from_the_target_and_is_said_aloud(target, task):
    dataset = load((np.arange(200.0)[:, None], np.array(target)))
    assert dataset.task == task
    assert "--task" in dataset.schema.task_reason


def test_the_task_can_be_overridden():
    numbers = (np.arange(200.0)[:, None], np.array([0, 1, 2, 3] * 50))
    assert load(numbers, task="regression").target.shape == (200, 1)
    assert load(numbers, task="classification").task == "multiclass"
    with pytest.raises(OptionError, match="multiclass"):
        load(numbers, task="binary")
    with pytest.raises(OptionError, match="got 'ranking'"):
        load(numbers, task="ranking")


def test_classes_that_are_numbers_stand_in_the_order_of_their_values():
    dataset = load((np.zeros((200, 1)) + np.arange(200)[:, None], np.array([10, 9, 2, 1] * 50)))
    assert dataset.schema.classes == ("1", "2", "9", "10")
    assert dataset.target[:4].tolist() == [3, 2, 1, 0]


# --- columns ---------------------------------------------------------------------------------------------


def test_each_kind_of_column_becomes_one_number_per_row(write):
    text = "a;flag;when;kind;y\n1;yes;2020-01-02;red;0.5\n?;no;2020-01-03;blue;1\nN/A;;1970-01-02;;2.5\n"
    dataset = load(write(text), "y")
    kinds = [(column.name, column.kind, column.has_missing) for column in dataset.schema.columns]
    assert kinds == [
        ("a", "numeric", True),
        ("flag", "boolean", True),
        ("when", "datetime", False),
        ("kind", "category", True),
    ]
    assert dataset.features[0].tolist() == [1.0, 1.0, 18263.0, 1.0]
    assert np.isnan(dataset.features).sum(axis=0).tolist() == [2, 1, 0, 1]


def test_every_type_of_a_data_frame_is_read():
    frame = pl.DataFrame(
        {
            "day": pl.Series(range(ROWS)).cast(pl.Date),
            "wait": pl.Series([43_200_000 * i for i in range(ROWS)]).cast(pl.Duration("ms")),
            "price": pl.Series([f"{i}.25" for i in range(ROWS)]).cast(pl.Decimal(10, 2)),
            "level": pl.Series(["1", "2"] * 20).cast(pl.Enum(["2", "1"])),
            "list": [[1, 2]] * ROWS,
            "y": [False, True] * 20,
        }
    )
    dataset = load(frame, "y")
    kinds = [(column.name, column.kind) for column in dataset.schema.columns]
    assert kinds == [("day", "datetime"), ("wait", "numeric"), ("price", "numeric"), ("level", "category")]
    assert dataset.features[3].tolist() == [3.0, 1.5, 3.25, 1.0]
    assert dataset.schema.classes == ("False", "True")
    from_text = pl.DataFrame({"day": ["05.01.1970"], "wait": [0], "price": ["7"], "level": [2]})
    assert load_rows(from_text, dataset.schema).tolist() == [[4.0, 0.0, 7.0, 1.0]]


def test_an_unseen_level_counts_as_missing():
    dataset = load(table(kind=["red", "blue"] * 20), "y")
    assert np.isnan(load_rows(pl.DataFrame({"x": [1.0], "kind": ["green"]}), dataset.schema)[0, 1])


def test_rare_levels_of_a_wide_column_count_as_other():
    levels = [f"c{i:02d}" for i in range(40)]
    frame = pl.DataFrame({"c": levels * 5 + levels[:30] * 5, "y": [0, 1] * 175})
    dataset = load(frame, "y")
    column = dataset.schema.columns[0]
    assert column.categories == (*levels[:30], "other")
    assert "many-levels" in codes(dataset)
    new = load_rows(pl.DataFrame({"c": ["c35", "never seen", None, "c00"]}), dataset.schema)
    assert new[:2].ravel().tolist() == [30.0, 30.0]
    assert np.isnan(new[2, 0])
    assert new[3, 0] == 0.0


def test_text_that_always_differs_is_left_out_and_so_is_an_empty_column():
    frame = table(name=[f"person {i}" for i in range(ROWS)], nothing=[None] * ROWS)
    dataset = load(frame, "y")
    assert dataset.feature_names == ("x",)
    assert len(dataset.schema.left_out) == 2
    assert codes(dataset) == ["identifier-text", "empty"]


def test_a_few_stray_texts_among_many_numbers_are_missing_values_and_are_reported():
    frame = table(value=[*map(str, range(ROWS - 1)), "broken"])
    dataset = load(frame, "y")
    assert dataset.schema.columns[1].kind == "numeric"
    assert np.isnan(dataset.features[-1, 1])
    assert "'broken' (row 40)" in dataset.remarks[0].text


def test_infinity_is_missing_and_is_reported():
    dataset = load(table(value=[float("inf"), *map(float, range(ROWS - 1))]), "y")
    assert np.isnan(dataset.features[0, 1])
    assert dataset.schema.columns[1].has_missing
    assert codes(dataset) == ["infinite"]


def test_dates_that_could_be_read_two_ways_are_reported(write):
    dataset = load(write("d,y\n01/02/2020,1.5\n03/04/2020,2.5\n05/06/2020,3.25\n"), "y")
    assert codes(dataset) == ["read", "ambiguous-date"]
    clear = load(write("d,y\n01/02/2020,1.5\n25/04/2020,2.5\n05/06/2020,3.25\n"), "y")
    assert clear.schema.columns[0].date_format == "%d/%m/%Y"


def test_groups_times_and_weights_are_roles_and_no_inputs():
    frame = table(
        patient=["a", "b"] * 20, day=["2020-01-01", "2020-01-02"] * 20, w=[0, 2] * 20, junk=range(ROWS)
    )
    dataset = load(frame, "y", group="patient", time="day", weight="w", drop="junk")
    assert dataset.feature_names == ("x",)
    assert dataset.groups.tolist() == [0, 1] * 20
    assert dataset.time.tolist() == [18262.0, 18263.0] * 20
    assert dataset.weight.tolist() == [0.0, 2.0] * 20
    assert len(dataset.schema.left_out) == 4


# --- bad input -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "options", "words"),
    [
        (table(outcome=[1, 2] * 20), {"target": "outcom"}, "Did you mean 'outcome'"),
        (table(), {"target": 7}, "position from 0 to 1, got 7"),
        (table(y=["a"] * ROWS), {}, "at least two different values"),
        (table(y=["a"] * (ROWS - 1) + ["b"]), {}, "'b' has one"),
        (
            table(y=[1.5, None] * 20),
            {},
            "20 of 40 rows have none or an infinite one \\(rows 2, 4, 6, 8, 10, …",
        ),
        (table(y=[*map(float, range(ROWS - 1)), float("inf")]), {}, "1 of 40 rows"),
        (table(y=[*map(str, range(ROWS - 1)), "oops"]), {}, "got text such as 'oops' in row 40"),
        (table(y=["a", "b"] * 20), {"task": "regression"}, "to hold numbers for regression"),
        (table(), {"drop": "x"}, "at least one input column"),
        (pl.DataFrame({"x": [None] * 4, "y": [0, 1] * 2}), {}, "holds no value at all"),
        (table(), {"drop": ["absent"]}, "--drop to be a column"),
        (table(), {"group": "absent"}, "--group to be a column"),
        (table(g=["a", None] * 20), {"group": "g"}, "every row to have a group"),
        (table(t=["soon", "late"] * 20), {"time": "t"}, "a time"),
        (table(w=["1", "heavy"] * 20), {"weight": "w"}, "got 'heavy' in rows 2, 4"),
        (table(w=[1, -1] * 20), {"weight": "w"}, "negative ones in rows 2, 4"),
        (table(w=[0] * ROWS), {"weight": "w"}, "all rows have weight 0"),
        (table(w=[1, None] * 20), {"weight": "w"}, "got nothing in rows 2, 4"),
        (table().head(1), {}, "at least 2 rows"),
        ((np.zeros((3, 1)), np.zeros(2)), {}, "as many rows in X as values in y"),
        (table(z=["a", "b"] * 20), {"target": ["x", "z"]}, "'z' to hold numbers"),
    ],
)
def test_bad_input_gets_one_message_with_what_was_expected_seen_and_to_do(frame, options, words):
    with pytest.raises(DataError, match=words) as caught:
        load(frame, options.pop("target", "y" if isinstance(frame, pl.DataFrame) else None), **options)
    assert str(caught.value).startswith("Expected")
    assert "\n" not in str(caught.value)


def test_one_column_has_one_role():
    with pytest.raises(OptionError, match="no other role"):
        load(table(), "y", group="y")


# --- new rows --------------------------------------------------------------------------------------------


@pytest.fixture
def headerless(write):
    return load(write("1,9,M\n2,9,R\n3,8,M\n4,8,R\n", "train.csv"), "2", drop="1")


@pytest.mark.parametrize("text", ["5,7,M\n", "5,7\n", "5\n"])
def test_new_rows_without_header_may_lack_the_target_and_dropped_columns(write, headerless, text):
    assert load_rows(write(text, "new.csv"), headerless.schema).tolist() == [[5.0]]


def test_new_rows_may_begin_with_a_byte_order_mark_that_training_lacked(write):
    dataset = load(write("a,y\n1,M\n2,R\n3,M\n4,R\n"), "y")
    assert dataset.schema.read.encoding == "utf-8"
    assert load_rows(write("a\n7\n", "new.csv", "utf-8-sig"), dataset.schema).tolist() == [[7.0]]


def test_new_rows_of_another_width_are_refused(write, headerless):
    with pytest.raises(DataError, match="got 4"):
        load_rows(write("5,7,M,1\n", "new.csv"), headerless.schema)


def test_new_rows_with_a_header_are_matched_by_name(write):
    dataset = load(write("a,b,y\n1,2,M\n3,4,R\n5,6,M\n7,8,R\n"), "y")
    assert load_rows(write("b,note,a\n20,hi,10\n", "new.csv"), dataset.schema).tolist() == [[10.0, 20.0]]
    with pytest.raises(DataError, match="input column 'b'"):
        load_rows(write("a\n1\n", "new.csv"), dataset.schema)
    with pytest.raises(DataError, match="'a' to be numeric, got 'tall' in row 1"):
        load_rows(write("a,b\ntall,1\n", "new.csv"), dataset.schema)


def test_an_unknown_label_in_test_rows_is_refused(headerless):
    with pytest.raises(DataError, match="one of the labels 'M', 'R', got 'X' in row 1"):
        load_test(pl.DataFrame({"0": [1.0], "2": ["X"]}), headerless.schema)


def test_number_labels_match_by_value_in_test_rows():
    dataset = load((np.arange(4.0)[:, None], np.array([0, 1, 0, 1])))
    assert load_test((np.zeros((2, 1)), np.array([1.0, 0.0])), dataset.schema)[1].tolist() == [1, 0]


def test_a_pair_of_test_arrays_is_matched_by_position():
    dataset = load("sample:iris")
    features, target, _ = load_test((dataset.features[:3], np.array(["setosa"] * 3)), dataset.schema)
    assert np.array_equal(features, dataset.features[:3])
    assert target.tolist() == [0, 0, 0]


def test_test_rows_bring_their_weights():
    dataset = load(table(w=[1, 2] * 20), "y", weight="w")
    weight = load_test(pl.DataFrame({"x": [1.0], "y": ["yes"], "w": [5]}), dataset.schema)[2]
    assert weight.tolist() == [5.0]


# --- any file, any table ---------------------------------------------------------------------------------

CHARACTERS = st.sampled_from(list("01.,;\t|'\" \n\r-+einfaü?NA/:\x00\x1a\ufeff"))


ANY_FILE = st.one_of(st.binary(max_size=200), st.text(CHARACTERS, max_size=200).map(str.encode))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ANY_FILE)
def test_any_file_becomes_a_dataset_or_one_sentence(write, content):
    path = write(content)
    try:
        dataset = load(path)
    except CaviarError as error:
        message = str(error)
    else:
        message = f"Expected and got {dataset.n_rows} rows"
    assert message.startswith("Expected")


CELLS = st.one_of(
    st.none(),
    st.floats(allow_nan=True, width=32).map(str),
    st.sampled_from(["a", "b", "other", "'-1'", "yes", "2020-01-01", "Ü, x", '"', "1,5", " pad "]),
)


@given(
    st.integers(1, 4).flatmap(
        lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), min_size=2, max_size=30)
    )
)
def test_any_table_loads_without_losing_a_row_or_is_refused_as_data(cells):
    columns = {f"x{i}": [row[i] for row in cells] for i in range(len(cells[0]))}
    target = ["a", "b"] * (len(cells) // 2) + ["a"] * (len(cells) % 2)
    frame = pl.DataFrame({**columns, "y": target}, schema_overrides=dict.fromkeys(columns, pl.String))
    try:
        dataset = load(frame, "y")
    except DataError:
        return
    assert dataset.n_rows == len(cells)
    assert not np.isinf(dataset.features).any()
    again = load_rows(frame.drop("y"), Schema.model_validate_json(dataset.schema.model_dump_json()))
    assert np.array_equal(again, dataset.features, equal_nan=True)
    for position, column in enumerate(dataset.schema.columns):
        assert column.has_missing == bool(np.isnan(dataset.features[:, position]).any())
