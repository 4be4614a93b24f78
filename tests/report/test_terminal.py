import io
from pathlib import Path

import pytest
from rich.console import Console

from caviar.report.terminal import diagnosis, summary, table_facts
from caviar.run.record import DiagnosisRecord, FindingRecord, SkippedRemedy
from tests.report.fake_run import HOSTILE, RECORDS, full_record, many_classes_record, named_record

RUN = Path("runs/sonar-2026-11-20")


def printed(record, width: int = 80, run: Path | None = RUN) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(summary(record, run))
    return console.file.getvalue()


@pytest.mark.parametrize("kind", RECORDS)
def test_every_kind_of_run_fits_into_eighty_columns(kind):
    text = printed(RECORDS[kind]())
    assert max(map(len, text.splitlines())) <= 80
    assert not {"nan", "None"} & set(text.split())


def test_the_summary_says_what_the_time_left_untried():
    record = full_record()
    assert "Untried" not in printed(record)
    why = "Not tried: the time given (--minutes) did not suffice."
    record.trial.skipped.append(SkippedRemedy(remedy="l2", title="L2", why=why))
    assert "Untried     One remedy (L2) was not tried for lack of time. Give more --minutes." in printed(
        record
    )


def test_what_may_help_is_said_in_words():
    """Names such as scale-inputs are for programs; one that nobody knows any more is shown as it is."""
    finding = FindingRecord(
        code="L02",
        title="The network does not learn",
        area="learning",
        outcome="found",
        sentence="It ends where it began.",
        fault="not_trained",
        remedies=["scaling", "gone", "scale-inputs"],
    )
    console = Console(file=io.StringIO(), width=120, color_system=None)
    record = DiagnosisRecord(area="learning", sentence="A learning problem.", findings=[finding])
    console.print(diagnosis(record, None, "log-loss", 1.0))
    assert "May help: Scale the inputs; gone; Scale the inputs only." in console.file.getvalue()


def test_what_no_recipe_can_change_is_said_to_be_done_by_hand():
    finding = FindingRecord(
        code="D11",
        title="An input is an identifier",
        area="generalization",
        outcome="suspected",
        sentence="Whole numbers that count the rows: id.",
        fault="identifier",
        by_hand="Leave the column out.",
    )
    console = Console(file=io.StringIO(), width=120, color_system=None)
    record = DiagnosisRecord(area="healthy", sentence="Nothing wrong.", findings=[finding])
    console.print(diagnosis(record, None, "log-loss", 1.0))
    assert "By hand: Leave the column out." in console.file.getvalue()


def test_the_summary_says_data_scores_diagnosis_remedies_and_model():
    text = printed(full_record(), width=120)
    for fact in (
        "sonar: 208 rows, 60 input columns, binary",
        "0.512",
        "0.462 to 0.562",
        "Histogram gradient boosting",
        "It has a generalization problem",
        "▲ helps",
        "+0.104",
        "0.083 to 0.125",
        "Expect 0.417 (0.367 to 0.467)",
        "runs/sonar-2026-11-20/report.html",
        "runs/sonar-2026-11-20/model",
        "caviar predict runs/sonar-2026-11-20 new_rows.csv",
    ):
        assert fact in text, fact


def test_a_verdict_is_a_word_and_not_only_a_colour():
    text = printed(full_record())
    for word in ("helps", "harms", "no difference", "unclear, ~9 repeats", "not enough data"):
        assert word in text


def test_a_remedy_that_was_given_up_is_no_matter_of_more_repeats():
    record = full_record()
    assert "iven up" not in printed(record)
    undecided = next(c.remedy for c in record.trial.comparisons if c.verdict == "not enough data")
    arm = next(arm for arm in record.trial.arms if arm.name == undecided)
    record.baseline.fold_scores, arm.fold_scores = [[0.5, 0.6]] * 3, [[0.5, 0.6]]
    text = printed(record)
    assert text.count("unclear, given up") == 1
    assert "long ones that promised nothing in the first repeat" in " ".join(text.split())


def test_names_are_never_read_as_markup():
    text = printed(named_record(HOSTILE), width=200)
    assert "[red]" in text


def test_without_a_folder_no_place_is_named():
    assert "report.html" not in printed(full_record(), run=None)


def test_the_chosen_remedy_is_marked():
    line = next(line for line in printed(full_record()).splitlines() if "(chosen)" in line)
    assert line.startswith("Scale the inputs (chosen)")


@pytest.mark.parametrize("kind", ["full", "hostile", "long", "regression", "many classes"])
def test_a_table_is_told_within_eighty_columns(kind):
    console = Console(file=io.StringIO(), width=80, color_system=None)
    console.print(table_facts(RECORDS[kind]().data, {"log-loss": 0.69, "auc": 0.5}))
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    assert "log-loss 0.69, AUC 0.5" in text
    assert "! Warning" in text


def test_a_wide_table_is_cut_and_says_so():
    console = Console(file=io.StringIO(), width=100, color_system=None)
    console.print(table_facts(many_classes_record().data, {}))
    text = console.file.getvalue()
    assert "and 20 more" in text
    assert "variety 0 of the plant 3,003" in text
    assert "and 10 more" in text
