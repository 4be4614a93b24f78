"""What does the course find, and how long does it take?

    python benchmarks/course.py            # a quarter of an hour on two cores, writes docs/course.md
    python benchmarks/course.py --quick    # three seeds and a tenth of the epochs, printed only

Finished lessons are kept in `runs/course` and are not run again; delete the folder to begin anew.
"""

import argparse
import os
import platform
import time
from pathlib import Path

from caviar.course.beside import shares_of_cores
from caviar.course.lesson import course
from caviar.report.wording import duration, interval_of, number, value_of
from caviar.run.lesson import ClaimLine, LessonRecord, ReportedLine, tally

PAGE = Path(__file__).resolve().parents[1] / "docs" / "course.md"
FOLDER = Path(__file__).resolve().parents[1] / "runs" / "course"
WHO = {"author": "author", "reader": "reader", "caviar": "ours"}


def measured(claim: ClaimLine) -> str:
    """A claim's measure with its interval."""
    if claim.estimate.n == 1:
        return value_of(claim.estimate)
    return f"{value_of(claim.estimate)} ({interval_of(claim.estimate)})"


def amended(claim: ClaimLine) -> str:
    """What was changed after the claim had been judged once."""
    return f". *Changed after a first full run: {plain(claim.amended)}*" if claim.amended else ""


def plain(text: str) -> str:
    """Text that cannot end a cell of a table."""
    return text.replace("|", "\\|").replace("\n", " ")


def reported(line: ReportedLine) -> str:
    """A row of the table of reported numbers."""
    ours = f"{number(line.middle)} ({number(line.low)} to {number(line.high)})"
    inside = "yes" if line.inside else "**no**"
    title = plain(f"{line.what}, {line.variant}" if line.variant else line.what)
    return f"| {title} | {line.who} | {line.value:.{line.digits}f} | {ours} | {inside} |"


def lesson(record: LessonRecord) -> list[str]:
    """A lesson's part of the page."""
    took = f"{record.seeds} seeds, {duration(record.seconds)}"
    if record.fit_seconds:
        took += f"; a loop of `fit` would take about {duration(record.fit_seconds)}"
    text = [f"## {record.title}", "", f"`caviar lesson {record.name}` ({took})", "", plain(record.why), ""]
    text += ["| claim | who | verdict | measured | holds if |", "| --- | --- | --- | --- | --- |"]
    text += [
        f"| {plain(claim.says)} | {WHO.get(claim.who, claim.who)} | **{claim.verdict}** | "
        f"{plain(claim.about)}: {measured(claim)}{amended(claim)} | {claim.expects} |"
        for claim in record.claims
    ]
    if record.reported:
        head = ["", "| reported | who | value | ours: median (lowest to highest) | inside |"]
        text += [*head, "| --- | --- | --: | --: | --- |", *map(reported, record.reported)]
    if record.untold:
        text += ["", "Not judged: " + " ".join(map(plain, record.untold))]
    if record.learned:
        text += ["", plain(record.learned)]
    return [*text, ""]


def took(records: list[LessonRecord], wall: float | None) -> str:
    """How long the course took, beside a loop of `fit`.

    Args:
        records: What the lessons found.
        wall: Seconds of the whole course; None where a part of it had been kept.
    """
    each = sum(record.seconds for record in records)
    fit = sum(record.fit_seconds or 0.0 for record in records)
    machine = f"{os.cpu_count()} cores ({platform.processor() or platform.machine()}; load {os.getloadavg()[2]:.1f})"
    at_a_time = len(shares_of_cores())
    if wall is None:
        text = f"Its lessons' own times, {at_a_time} at a time on {machine}, add up to {duration(each)}. "
        ours, of = each, f"these {duration(each)}"
    else:
        text = (
            f"The whole course took **{duration(wall)}** on {machine}, compilation included, {at_a_time} lessons at a "
            f"time; while one measures seconds the others stand still. The lessons' own times add up to "
            f"{duration(each)}. "
        )
        ours, of = wall, "the whole course"
    return (
        f"{text}A loop of Keras' own `fit` would take about {duration(fit)} for the lessons' variants alone, "
        f"{fit / ours:,.0f} times {of}; that is extrapolated from three timed epochs for each batch size and structure "
        f"of each lesson, on the lesson's share of the cores, without looking at test rows."
    )


def page(records: list[LessonRecord], wall: float | None) -> str:
    """The whole page."""
    counted = tally(records)
    lines = [line for record in records for line in record.reported]
    versions = ", ".join(f"{name} {text}" for name, text in records[0].versions.items())
    verdicts = ", ".join(
        f"{many} {'hold' if verdict == 'holds' else verdict}" for verdict, many in counted.items()
    )
    verdicts = verdicts.replace("does not hold", "do not hold")
    inside = sum(line.inside for line in lines)
    text = [
        "# The course",
        "",
        (
            "Written by `python benchmarks/course.py`. What a claim means in numbers, and from where on it holds, "
            "stood in the lesson's file before its first full run, or it says what was changed after it; verdicts that "
            "do not please stand here as they are."
        ),
        "",
        (
            f"{len(records)} lessons, {sum(counted.values())} claims: {verdicts}. Of {len(lines)} numbers that authors "
            f"and readers reported, {inside} lie inside our distribution (between the lowest and the highest seed)."
        ),
        "",
        f"{took(records, wall)} {versions}.",
        "",
        (
            "Intervals are over seeds, on the lesson's rows: they say what other seeds would do, not what other rows "
            "would. Those of a lesson hold together with nominally 95 %; docs/statistics.md has what simulations say."
        ),
        "",
    ]
    for record in records:
        text += lesson(record)
    return "\n".join(text).rstrip() + "\n"


def main() -> None:
    """Run all lessons, and write the page."""
    parser = argparse.ArgumentParser(description="The course.")
    parser.add_argument("--quick", action="store_true", help="few seeds and epochs, printed only")
    parser.add_argument("--data-dir", type=Path, help="folder with the public tables")
    asked = parser.parse_args()
    folder = FOLDER.with_name("course-quick") if asked.quick else FOLDER
    is_new, began = not folder.exists(), time.monotonic()
    records, _ = course(quick=asked.quick, data_dir=asked.data_dir, out=folder)
    wall = time.monotonic() - began if is_new else None
    if asked.quick:
        print(page(records, wall))
    else:
        PAGE.write_text(page(records, wall), encoding="utf-8")


if __name__ == "__main__":
    main()
