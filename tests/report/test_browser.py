from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from caviar.report.lesson import write_lesson_page
from caviar.report.page import write_report
from caviar.report.search import write_search
from caviar.run.lesson import LessonRecord, LineFigure, QuestionLine, Series
from caviar.run.study import TrialLine
from caviar.tune.draws import random_search
from caviar.tune.space import discover
from tests.report.fake_run import HOSTILE, RECORDS, full_record, named_record, save_run
from tests.report.test_search_page import RECORD

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[sync_api.Browser]:
    if not CHROMIUM.exists():
        pytest.skip(f"there is no browser at {CHROMIUM}: install Debian's chromium to draw the figures")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield started
        started.close()


class Visit:
    """One page, opened from its file without a network; remembers complaints and requests."""

    def __init__(self, browser: sync_api.Browser, path: Path, **context):
        self.context = browser.new_context(offline=True, **context)
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())
        if context.get("java_script_enabled", True):
            self.page.wait_for_function("document.documentElement.dataset.figures")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_):
        self.context.close()

    def drawn(self) -> int:
        """How many figures have a drawing."""
        return self.page.locator(".canvas:has(svg.main-svg)").count()


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    return write_report(
        save_run(tmp_path_factory.mktemp("runs") / "sonar", full_record(), curves=3, members=8, epochs=20)
    )


def test_the_page_draws_all_figures_offline_without_a_complaint_or_a_request(browser, report):
    with Visit(browser, report) as visit:
        assert visit.drawn() == 7
        assert visit.complaints == []
        assert visit.requests == [report.as_uri()]


@pytest.mark.parametrize("kind", ["diverged", "interrupted", "empty", "lone", "regression", "long"])
def test_every_kind_of_run_opens_without_a_complaint(browser, tmp_path, kind):
    record = RECORDS[kind]()
    run = save_run(tmp_path / "run", record, curves=3, members=5, epochs=8, diverges=kind == "diverged")
    with Visit(browser, write_report(run), viewport={"width": 390, "height": 800}) as visit:
        assert visit.complaints == []
        assert visit.drawn() == visit.page.locator(".canvas").count()
        assert visit.page.evaluate("document.documentElement.scrollWidth") == 390


def test_hostile_names_are_shown_and_never_run(browser, tmp_path):
    run = save_run(tmp_path / "run", named_record(HOSTILE), curves=3, members=5, epochs=8)
    with Visit(browser, write_report(run)) as visit:
        for option in visit.page.locator("#arm-select option").all():
            visit.page.select_option("#arm-select", option.get_attribute("value"))
        assert visit.page.evaluate("window.hacked") is None
        assert visit.page.locator("img").count() == 0
        assert visit.page.locator("main >> text=onerror").count() > 10
        assert visit.page.locator(".canvas text", has_text="img").count() > 0
        assert visit.complaints == []
        assert visit.requests == [run.joinpath("report.html").as_uri()]


def test_script_that_somehow_got_in_is_stopped_by_the_policy(browser, tmp_path, report):
    """Even with the escaping gone, a foreign script and a foreign address stay silent."""
    attack = "<script>window.hacked=1</script><img src=x onerror='window.hacked=2'>"
    broken = tmp_path / "broken.html"
    page = report.read_text(encoding="utf-8")
    broken.write_text(page.replace("<main>", f"<main>{attack}", 1), encoding="utf-8")
    with Visit(browser, broken) as visit:
        assert visit.page.evaluate("window.hacked") is None
        assert any("Content Security Policy" in complaint for complaint in visit.complaints)
        assert visit.drawn() == 7


def test_a_searchs_page_draws_its_front_and_the_settings_behind_the_line_once_it_is_opened(browser, tmp_path):
    def many(hp):
        hp.Float("momentum", 0.5, 0.999, sampling="reverse_log")
        for number in range(13):
            hp.Float(f"<b>number_{number}</b>", 0.0, 1.0)

    lines = [
        TrialLine(
            number=one.number,
            settings=one.settings,
            score=[one.settings["momentum"], 1 - one.number % 5 / 5],
            fold_scores=[[0.0]],
            generation=0,
            place=0,
            seconds=1.0,
        )
        for one in random_search(discover(many), 40).ask(40)
    ]
    best = min(lines, key=lambda line: line.score[0])
    changed = {"objectives": ["log-loss", "brier"], "front": [best.number, 4], "best": best.number}
    path = write_search(tmp_path, RECORD.model_copy(update=changed), lines, discover(many))
    with Visit(browser, path) as visit:
        assert visit.drawn() == visit.page.locator(".canvas").count() - 2
        visit.page.get_by_text("2 more settings").click()
        assert visit.drawn() == visit.page.locator(".canvas").count() == 14 + 3
        assert visit.complaints == []


def test_the_selector_shows_the_recipe_that_was_picked(browser, report):
    with Visit(browser, report) as visit:
        label = visit.page.locator('[data-slot="second"] .canvas').first
        assert label.get_attribute("aria-label").startswith("Scale the inputs: loss over 20 epochs")
        visit.page.select_option("#arm-select", "dropout")
        assert label.get_attribute("aria-label").startswith("Dropout 0.3: loss over 20 epochs")
        assert visit.drawn() == 7


def test_figures_follow_the_readers_theme(browser, report):
    def ink(visit: Visit) -> str:
        style = "getComputedStyle(document.querySelector('.canvas .annotation-text')).fill"
        return visit.page.evaluate(style)

    with Visit(browser, report, color_scheme="light") as visit:
        assert ink(visit) == "rgb(27, 31, 36)"
        visit.page.emulate_media(color_scheme="dark")
        visit.page.wait_for_function("getComputedStyle(document.body).backgroundColor == 'rgb(20, 23, 26)'")
        # Figures are drawn anew behind the page's own colours.
        text = "getComputedStyle(document.querySelector('.canvas .annotation-text')).fill"
        visit.page.wait_for_function(f"{text} == 'rgb(230, 233, 236)'")


def test_without_javascript_a_sentence_points_to_the_tables(browser, report):
    with Visit(browser, report, java_script_enabled=False) as visit:
        sentences = visit.page.locator("noscript p").all()
        assert [sentence.is_visible() for sentence in sentences] == [True] * 4
        assert all("table" in (sentence.text_content() or "") for sentence in sentences)


def test_a_browser_that_cannot_unpack_says_so(browser, report):
    context = browser.new_context(offline=True)
    context.add_init_script("delete window.DecompressionStream")
    page = context.new_page()
    page.goto(report.as_uri())
    page.wait_for_function("document.documentElement.dataset.figures == 'failed'")
    assert page.get_by_text("This browser could not draw the figure").count() == 5
    context.close()


def test_the_page_prints_with_light_figures_that_fit_the_paper(browser, report):
    with Visit(browser, report, color_scheme="dark") as visit:
        visit.page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
        widths = visit.page.evaluate(
            "[...document.querySelectorAll('.canvas svg.main-svg')].map(s => s.getBoundingClientRect().width)"
        )
        assert max(widths) <= 680
        visit.page.evaluate("window.dispatchEvent(new Event('afterprint'))")
        assert visit.page.pdf(format="A4").startswith(b"%PDF")


def asking_lesson() -> LessonRecord:
    """A lesson of questions and nothing else, written by hand: one of each kind, and one with two right answers."""
    curves = [
        Series(name="curve A", values=[1.0, 0.5, 0.2]),
        Series(name="curve B", values=[1.0, 1.1, 1.4]),
    ]
    figure = LineFigure(title="Which is which?", across="epoch", up="loss", x=[1.0, 2.0, 3.0], series=curves)
    return LessonRecord(
        key="k",
        created="today",
        name="asking",
        title="Questions of every kind",
        area="learning",
        why="A learner answers before the evidence is shown.",
        learned="",
        rows="",
        origin="",
        is_own=False,
        seeds=1,
        share=1.0,
        level=0.95,
        columns=[],
        variants=[],
        claims=[],
        reported=[],
        untold=[],
        figures=[],
        questions=[
            QuestionLine(
                kind="choice",
                asks="What is 2 + 2?",
                options=["3", "4"],
                right=[1],
                is_every_wanted=True,
                because="That is a sum.",
            ),
            QuestionLine(
                kind="choice",
                asks="Which of these are even?",
                options=["2", "3", "4"],
                right=[0, 2],
                is_every_wanted=True,
                because="Two divides them.",
            ),
            QuestionLine(
                kind="choice",
                asks="Which is most accurate?",
                options=["small", "wide", "deep"],
                right=[1, 2],
                because="These two cannot be told apart.",
            ),
            QuestionLine(
                kind="match",
                asks="Which curve is which?",
                options=["rising", "falling"],
                right=[1, 0],
                because="One falls.",
                figure=figure,
            ),
            QuestionLine(
                kind="naming",
                asks="Name two remedies.",
                accepted={"dropout": ["drop out"], "noise": [], "Xavier's": []},
                wanted=2,
                because="There are more.",
            ),
        ],
        seconds=1.0,
        fit_seconds=None,
        notes=[],
        versions={},
    )


@pytest.mark.parametrize(
    ("place", "wrong", "right"),
    [
        (0, [[], ["3"]], [["4"]]),
        (1, [[], ["2"], ["4"], ["2", "3"], ["2", "3", "4"]], [["2", "4"]]),
        (2, [[], ["small"]], [["wide"], ["deep"]]),
        (3, [[], ["falling"], ["rising", "falling"], ["falling", "falling"]], [["falling", "rising"]]),
        (4, [[], ["dropout"], ["Drop-out", "dropout"]], [["noise", "Drop out"], ["xavier's", "noise"]]),
    ],
)
def test_a_learner_is_told_whether_an_answer_is_right_and_sees_why_when_it_is(
    browser, tmp_path, place, wrong, right
):
    with Visit(browser, write_lesson_page(tmp_path, asking_lesson())) as visit:
        question = visit.page.locator(".question").nth(place)
        for answer, is_right in [*((one, False) for one in wrong), *((one, True) for one in right)]:
            _answer(question, answer)
            question.get_by_role("button", name="Check my answer").click()
            assert question.locator("output").text_content() == ("Right." if is_right else "Not quite."), (
                answer
            )
            assert question.locator("details.answer p").is_visible() == is_right, answer
        assert visit.complaints == []


def _answer(question: sync_api.Locator, answer: list[str]):
    """Tick these options, pick one of them for each curve, or type them; nothing else stays answered."""
    for box in question.locator("input[type=checkbox]").all():
        box.set_checked(False)
    for option in answer if question.get_attribute("data-kind") == "choice" else []:
        question.get_by_label(option, exact=True).check()
    for fields, fill in (("select", "select_option"), ("input[type=text]", "fill")):
        for i, field in enumerate(question.locator(fields).all()):
            getattr(field, fill)(answer[i] if i < len(answer) else "")


def test_only_a_question_with_several_right_answers_says_how_many(browser, tmp_path):
    with Visit(browser, write_lesson_page(tmp_path, asking_lesson())) as visit:
        questions = visit.page.locator(".question")
        assert ["choose them all" in text for text in questions.all_text_contents()] == [
            place == 1 for place in range(5)
        ]
        assert "2 of these are right" in questions.nth(1).text_content()


def test_curves_to_match_follow_a_page_that_becomes_narrow(browser, tmp_path):
    with Visit(browser, write_lesson_page(tmp_path, asking_lesson())) as visit:
        assert visit.drawn() == 1
        visit.page.set_viewport_size({"width": 390, "height": 800})
        sync_api.expect(visit.page.locator("html")).to_have_js_property("scrollWidth", 390)
