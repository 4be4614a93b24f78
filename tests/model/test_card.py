"""Facts about the model card: what a reader of a model's folder is told."""

import re
from pathlib import Path

import pytest

from caviar.model.card import write_card
from caviar.run.record import Record
from tests.report.fake_run import HOSTILE, full_record, looked_record, named_record, regression_record


def card_of(record: Record, folder: Path) -> str:
    assert record.final is not None
    write_card(folder, record, record.final, parameters=1234)
    return (folder / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("make", [full_record, regression_record])
def test_a_card_says_task_target_scores_with_intervals_and_how_to_predict(tmp_path, make):
    record = make()
    card = card_of(record, tmp_path)
    assert record.data is not None
    assert record.data.task in card
    assert "1,234 parameters" in card
    for name, score in record.final.scores.items():
        assert f"| {name} | {score.value:.4g} | {score.low:.4g} to {score.high:.4g} |" in card
    assert "caviar predict" in card
    assert "What it is not for" in card


def test_a_card_corrects_a_score_for_having_been_chosen(tmp_path):
    record = full_record()
    assert record.trial is not None
    assert record.trial.corrected_score is not None
    card = card_of(record, tmp_path)
    assert "Corrected for having been chosen" in card
    assert f"{record.trial.corrected_score.value:.4g}" in card


def test_names_from_a_table_cannot_become_markup(tmp_path):
    card = card_of(named_record(HOSTILE), tmp_path)
    assert not re.search(r"(?<!\\)[<&\[{]", card)
    assert "\n# " not in card[2:], "a line break in a name begins no headline"


def test_no_card_is_written_about_a_run_that_measured_nothing(tmp_path):
    final = full_record().final
    assert final is not None
    write_card(tmp_path, looked_record(), final, parameters=1)
    assert not list(tmp_path.iterdir())
