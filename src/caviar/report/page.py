"""The report of a run: one HTML page that opens without a network, drawn from record and histories alone."""

import base64
import gzip
import hashlib
import json
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import xarray as xr

from caviar.evaluate.wording import listed
from caviar.report import curves, figures, wording
from caviar.report import verdict as found
from caviar.run.files import write_text
from caviar.run.folder import REPORT, RunFolder
from caviar.run.record import Record

# The two arms that everybody looks at are drawn in full; the others with fewer single trainings.
_FULL = curves.Limits()
_BRIEF = curves.Limits(members=6, points=34, band_points=50)


def write_report(run_folder: Path) -> Path:
    """Draw the report of a run from what lies in its folder; nothing is trained.

    Args:
        run_folder: Holds `record.json` and the histories it names.

    Returns:
        Where the page was written: `report.html` in that folder.

    Raises:
        RunError: There is no record, it cannot be read, or the page cannot be written.

    >>> write_report(Path("runs/nowhere"))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    caviar.errors.RunError: Expected a run's folder with a record.json, ...
    """
    run_folder = Path(run_folder)
    record = RunFolder(run_folder).load_record()
    histories, problems = read_histories(run_folder, record)
    page = render(record, histories, run=str(run_folder), problems=problems)
    path = run_folder / REPORT
    write_text(path, page)
    return path


def read_histories(run_folder: Path, record: Record) -> tuple[dict[str, xr.Dataset], dict[str, str]]:
    """The histories of all arms by arm name, and for each arm without one the sentence that says why.

    A history outside the run's folder is not read: the record may come from somebody else.
    """
    histories: dict[str, xr.Dataset] = {}
    problems: dict[str, str] = {}
    for arm in found.arms(record):
        if arm.history is None:
            problems[arm.name] = "No learning curves were recorded for this recipe."
            continue
        path = (run_folder / arm.history).resolve()
        if not path.is_relative_to(run_folder.resolve()):
            problems[arm.name] = f"Its history {arm.history} lies outside the run's folder and was not read."
            continue
        try:
            histories[arm.name] = xr.load_dataset(path, engine="h5netcdf")
        except (OSError, ValueError) as error:
            problems[arm.name] = f"Its history {arm.history} cannot be read ({type(error).__name__})."
    return histories, problems


@dataclass(frozen=True)
class ArmCurves:
    """The learning curves of one arm, ready for the page."""

    name: str
    title: str
    facts: curves.CurveFacts
    milestones: tuple[curves.Milestones, ...]


def render(record: Record, histories: dict[str, xr.Dataset], *, run: str, problems: dict[str, str]) -> str:
    """The page as text.

    Args:
        record: What the run learned; any part may be missing.
        histories: Learning curves by arm name.
        run: The run's folder as the reader would type it.
        problems: For arms without curves, why.
    """
    shown = _arm_curves(record, histories)
    rows = {
        "scores": figures.score_facts(record),
        "comparisons": figures.comparison_facts(record),
        "spread": figures.spread_facts(record),
    }
    return filled(
        "page.html.jinja",
        {name: rows_figure(facts) for name, facts in rows.items() if facts and facts.rows},
        {arm.name: _curve_figures(arm) for arm in shown},
        record=record,
        run=run,
        verdict=found.verdict(record, run),
        found=found,
        rows=rows,
        arms=found.arms(record),
        curves=shown,
        curve_problems=problems,
        chosen=found.chosen_name(record),
        baseline=found.BASELINE,
    )


def filled(template: str, drawings: dict[str, Any], arms: dict[str, Any], /, **context: Any) -> str:  # noqa: ANN401
    """A template filled in, with style, script and drawing library inside: a page that needs no network.

    Args:
        template: A file of this package.
        drawings: Figures by the name that the template gives their places.
        arms: Learning curves by arm name.
        context: What else the template reads.
    """
    script = text_of("page.js")
    bundle, bundle_hash = _plotly()
    return template_of(template).render(
        **context,
        figures_json=embedded_json({"figures": drawings, "curves": arms}),
        plotly=bundle,
        css=text_of("page.css"),
        js=script,
        script_hashes=[script_hash(script), bundle_hash],
    )


def _arm_curves(record: Record, histories: dict[str, xr.Dataset]) -> list[ArmCurves]:
    shown = []
    for arm in found.arms(record):
        if arm.name not in histories:
            continue
        is_main = arm.name in (found.BASELINE, found.chosen_name(record)) or arm is record.baseline
        facts = curves.curve_facts(histories[arm.name], _FULL if is_main else _BRIEF)
        if facts.panels:
            title = found.AS_IT_IS if arm is record.baseline else arm.title
            shown.append(ArmCurves(arm.name, title, facts, tuple(curves.milestones(facts))))
    return shown


def rows_figure(facts: figures.Rows) -> dict[str, Any]:
    """A figure of intervals as the page's script takes it: for wide and for narrow places."""
    return {
        "wide": figures.draw_rows(facts, is_wide=True),
        "narrow": figures.draw_rows(facts, is_wide=False),
        "description": facts.description,
    }


def _curve_figures(arm: ArmCurves) -> dict[str, Any]:
    return {
        "title": arm.title,
        "notes": arm.facts.notes,
        "panels": [
            {"wide": curves.draw_panel(panel), "description": curves.described(panel, arm.title)}
            for panel in arm.facts.panels
        ],
    }


def embedded_json(data: dict[str, Any]) -> str:
    """`data` as JSON that can stand inside a script element: no letter of it can end that element.

    >>> "<" in embedded_json({"name": "</script>"})
    False
    """
    text = json.dumps(data, allow_nan=False, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c")


@cache
def _plotly() -> tuple[str, str]:
    """The drawing library, compressed and as base64, and the hash that allows it to run."""
    packed = files("caviar.report").joinpath("vendor/plotly-basic.min.js.gz").read_bytes()
    return base64.b64encode(packed).decode("ascii"), script_hash(gzip.decompress(packed).decode("utf-8"))


def script_hash(script: str) -> str:
    """A script's hash as a content security policy wants it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")


def text_of(name: str) -> str:
    """A file of this package."""
    return files("caviar.report").joinpath(name).read_text(encoding="utf-8")


def template_of(name: str) -> jinja2.Template:
    """A template of this package, which writes numbers and words as all pages do."""
    return _environment().get_template(name)


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(text_of),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": wording.number,
        "value_of": wording.value_of,
        "interval_of": wording.interval_of,
        "with_interval": wording.with_interval,
        "common_decimals": wording.common_decimals,
        "signed": wording.signed,
        "percent": wording.percent,
        "p_value": wording.p_value,
        "duration": wording.duration,
        "counted": wording.count,
        "shortened": wording.shortened,
        "metric_title": wording.metric_title,
        "listed": listed,
        "quoted": found.quoted,
        "python_string": partial(json.dumps, ensure_ascii=False),
    }
    environment.globals |= {"zip": zip}
    environment.tests |= {"known": wording.is_known, "finite": wording.is_finite}
    return environment
