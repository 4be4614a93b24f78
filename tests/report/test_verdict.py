import pytest

from caviar.report.verdict import best_reference, chosen_score, left_untried, no_skill_of, title_of, verdict
from caviar.run.record import Record, SkippedRemedy
from tests.report.fake_run import RECORDS, comparison, estimate, full_record


@pytest.mark.parametrize("kind", RECORDS)
def test_every_run_has_a_verdict_that_ends_as_a_sentence(kind):
    said = verdict(RECORDS[kind](), "runs/sonar")
    assert said.headline.endswith(".")
    assert all(text and "None" not in text and "nan" not in text for text in said.sentences)


def test_a_remedy_that_helps_is_the_headline():
    assert (
        verdict(full_record(), "run").headline == "The model gets better with this remedy: Scale the inputs."
    )


def test_a_chosen_recipe_that_is_not_proven_is_not_called_better():
    record = full_record()
    place = [c.remedy for c in record.trial.comparisons].index("scaling")
    record.trial.comparisons[place] = comparison("scaling", 0.02, 0.05, "not enough data", None)
    assert "better" not in verdict(record, "run").headline


def test_a_kept_model_is_said_to_be_kept():
    record = full_record()
    record.trial.chosen = record.final.recipe = "baseline"
    assert verdict(record, "run").headline == (
        "The model was kept as it is: no remedy is proven to make it better."
    )
    late = SkippedRemedy(
        remedy="late", title="Late", why="Not tried: the time given (--minutes) did not suffice."
    )
    record.trial.skipped = [late]
    assert "of the remedies that there was time for, none" in verdict(record, "run").headline


def test_a_model_without_one_finite_score_is_called_broken():
    said = verdict(RECORDS["diverged"](), "run")
    assert said.headline.startswith("The model cannot be trained as it is")
    assert said.next_steps[0].text.startswith("Start with what the diagnosis found")


@pytest.mark.parametrize("chosen", ["scaling", "baseline"])
def test_what_is_no_better_than_no_skill_is_not_to_be_relied_on(chosen):
    record = full_record()
    record.trial.chosen = record.final.recipe = chosen
    assert "rely" not in verdict(record, "run").headline
    score = chosen_score(record)
    record.no_skill[record.metric.name] = score.value - 0.001  # lower is better
    assert verdict(record, "run").headline.endswith("ignores the inputs: do not rely on it.")


@pytest.mark.parametrize(
    ("kind", "headline"),
    [
        ("empty", "This run stopped before the table was read."),
        ("looked", "This run stopped before the model was measured."),
        ("interrupted", "The model was measured; this run stopped before remedies were judged."),
        ("lone", "The model was measured and kept as it is: no remedy was tried."),
    ],
)
def test_a_run_that_stopped_says_how_far_it_came(kind, headline):
    assert verdict(RECORDS[kind](), "run").headline == headline


@pytest.mark.parametrize(
    ("titles", "said"), [(["Dropout"], "One remedy (Dropout) was"), (["a", "b"], "2 remedies were")]
)
def test_remedies_that_the_time_left_untried_are_what_to_do_next(titles, said):
    """A person who gave a minute must not believe that nothing helps."""
    record = RECORDS["lone"]()
    why = "Not tried: the time given (--minutes) did not suffice."
    record.trial.skipped = [SkippedRemedy(remedy=title, title=title, why=why) for title in titles]
    found = verdict(record, "run")
    assert "the time given ended before a remedy was tried" in found.headline
    assert any(step.text.startswith(said) and "--minutes" in step.text for step in found.next_steps)
    assert left_untried(full_record()) == ""  # another reason is none of the time's


def test_an_unfinished_run_is_gone_on_with_by_a_command():
    steps = verdict(RECORDS["interrupted"](), "runs/my table").next_steps
    assert steps[0].command == "caviar resume 'runs/my table'"
    assert not any("resume" in step.command for step in verdict(full_record(), "run").next_steps)


def test_the_score_of_a_chosen_recipe_is_the_one_corrected_for_having_been_chosen():
    record = full_record()
    assert chosen_score(record) == record.trial.corrected_score
    assert "0.417" in [key.value for key in verdict(record, "run").key_numbers]


def test_a_winner_that_is_not_corrected_is_marked():
    notes = [key.note for key in verdict(RECORDS["regression"](), "run").key_numbers]
    assert "not corrected for having been chosen" in notes


def test_overlapping_intervals_name_no_winner():
    assert "neither is clearly ahead" in verdict(full_record(), "run").sentences[-1]


@pytest.mark.parametrize(("reference", "ahead"), [(0.2, "The simple model"), (0.65, "The network")])
def test_intervals_apart_name_the_winner(reference, ahead):
    record = full_record()
    record.references = record.references[1:2]
    record.references[0].scores["log-loss"] = estimate(reference, 0.02)
    assert f"{ahead} is ahead" in verdict(record, "run").sentences[-1]


def test_a_better_simple_model_is_the_advice():
    record = full_record()
    record.references[1].scores["log-loss"] = estimate(0.2, 0.02)
    assert any(s.text.startswith("Consider Logistic regression") for s in verdict(record, "run").next_steps)


def test_the_best_reference_is_the_highest_where_higher_is_better():
    record = full_record()
    record.metric = record.metric.model_copy(update={"name": "auc", "title": "AUC", "higher_is_better": True})
    assert best_reference(record).name == "gradient-boosting"
    assert no_skill_of(record) == 0.5


def test_no_skill_is_read_from_its_reference_row_if_need_be():
    record = full_record(no_skill={})
    assert no_skill_of(record) == 0.691
    assert best_reference(record).name != "no-skill"


def test_a_promising_remedy_names_the_repeats_that_would_decide():
    steps = [step.text for step in verdict(full_record(), "run").next_steps]
    assert any("About 9 repeats instead of 3 (--repeats 9) would decide it." in text for text in steps)


def test_where_repeats_would_not_decide_more_rows_are_asked_for():
    record = full_record()
    undecided = [
        one.model_copy(update={"repeats_needed": None})
        for one in record.trial.comparisons
        if one.repeats_needed
    ]
    best = max(undecided, key=lambda one: one.difference.value)

    def steps(rope):
        trial = record.trial.model_copy(update={"comparisons": undecided, "rope": rope})
        return [one.text for one in verdict(full_record(trial=trial), "run").next_steps]

    little = best.difference.value / 2
    assert any(
        "Collect more rows" in text and title_of(record, best.remedy) in text for text in steps(little)
    )
    assert not any("Collect more rows" in text for text in steps(3 * little))
    assert not any("Collect more rows" in one.text for one in verdict(record, "run").next_steps)


def test_a_folder_with_blanks_is_quoted_in_the_command():
    commands = [step.command for step in verdict(full_record(), "runs/my table").next_steps]
    assert "caviar predict 'runs/my table' new_rows.csv" in commands


def test_a_run_that_still_runs_is_not_called_stopped():
    said = verdict(Record(status="running", stage="look"), "run")
    assert said.headline == "This run has not come so far that the table was read."
    assert said.next_steps[0].text.startswith("The run was in the stage “look” when this was written.")
