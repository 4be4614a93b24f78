"""What a lesson's evidence comes to, as a record: verdicts, scores with intervals, curves, answers to its questions."""

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np

from caviar.evaluate.claims import EXACT, judge, mean_of_seeds
from caviar.evaluate.wording import digits
from caviar.run.lesson import (
    BarFigure,
    ClaimLine,
    LessonFigure,
    LessonRecord,
    LineFigure,
    QuestionLine,
    RegionFigure,
    ReportedLine,
    Series,
    VariantLine,
)
from caviar.teaching.contract import (
    Bars,
    Choice,
    Claim,
    Data,
    Drawing,
    Lesson,
    Lines,
    Match,
    Naming,
    Question,
    Regions,
    Reported,
    Shown,
    Winner,
)
from caviar.teaching.seen import Seen

LEVEL = 0.95
"""Coverage of a lesson's verdicts together: each claim's interval is as much wider as there are claims (Bonferroni)."""

# A curve is read at so many places: more cannot be told apart on a page.
_PLACES = 80
_BAND = (0.1, 0.9)
_DECIMALS = 5
_MOST_BARS = 1000
_SHOWN = {
    "classes": (
        Shown("accuracy, training rows", lambda seen, name: seen.accuracy(name, "train")),
        Shown("accuracy, test rows", lambda seen, name: seen.accuracy(name)),
        Shown("test loss, last epoch", lambda seen, name: seen.final(name, "val_loss")),
    ),
    "quantities": (
        Shown("mean absolute error, training rows", lambda seen, name: seen.error(name, "train")),
        Shown("mean absolute error, test rows", lambda seen, name: seen.error(name)),
        Shown("test loss, last epoch", lambda seen, name: seen.final(name, "val_loss")),
    ),
}


def make_record(
    lesson: Lesson,
    seen: Seen,
    *,
    key: str,
    is_own: bool,
    share: float,
    seconds: float,
    fit_seconds: float | None,
) -> LessonRecord:
    """Everything that a page or a terminal says of a lesson.

    Args:
        lesson: What was taught.
        seen: What was measured.
        key: Of what it was made.
        is_own: Whether the rows are a person's own.
        share: Share of the epochs that was trained.
        seconds: What it took.
        fit_seconds: What a loop of Keras' own `fit` would take; None where nobody measured.
    """
    columns = (
        lesson.shows or _SHOWN["quantities" if seen.data is not None and not seen.data.classes else "classes"]
    )
    judged = [claim for claim in lesson.claims if not (is_own and claim.only_here)]
    claims, level = _claims(judged, seen)
    return LessonRecord(
        key=key,
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        name=lesson.name,
        title=lesson.title,
        area=lesson.area,
        why=lesson.why,
        learned="" if is_own else lesson.learned,  # other rows may teach otherwise
        rows=_rows_in_words(seen.data),
        origin="" if seen.data is None else seen.data.origin,
        is_own=is_own,
        seeds=len(seen.seeds),
        share=share,
        level=level,
        columns=[column.title for column in columns] if lesson.variants else [],
        variants=_variants(lesson, seen, columns),
        claims=claims,
        reported=[] if is_own or share != 1 else [_reported(one, seen) for one in lesson.reported],
        untold=_only_here(lesson.claims) if is_own else list(dict.fromkeys(one.why for one in lesson.untold)),
        figures=[
            *_curves(lesson, seen),
            *(_drawn(one) for one in (lesson.figures(seen) if lesson.figures else ())),
        ],
        questions=[_question(one, lesson, seen) for one in lesson.questions],
        seconds=seconds,
        fit_seconds=fit_seconds,
        notes=[
            f"{training.variant.title}: trained one model after the other, because {training.alone}."
            for training in seen.trainings.values()
            if training.alone
        ],
        versions={name: version(name) for name in ("caviar", "keras", "jax", "numpy", "scikit-learn")},
    )


def _rows_in_words(data: Data | None) -> str:
    if data is None:
        return ""
    split = "one split" if len(data.splits) == 1 else f"{len(data.splits)} folds"
    return f"{data.title}; {data.x.shape[1]:,} inputs, {split}"


def _variants(lesson: Lesson, seen: Seen, columns: Sequence[Shown]) -> list[VariantLine]:
    return [
        VariantLine(
            name=variant.name,
            title=variant.title,
            values=[
                mean_of_seeds(np.asarray(column.measure(seen, variant.name), float)) for column in columns
            ],
            trainings=sum(map(len, seen.trainings[variant.name].members)),
            seconds=seen.trainings[variant.name].seconds,
        )
        for variant in lesson.variants
    ]


def _claims(claims: Sequence[Claim], seen: Seen) -> tuple[list[ClaimLine], float]:
    """All claims with their verdicts, and the level of each one's interval."""
    measured = [claim.measure(seen) for claim in claims]
    by_chance = sum(np.asarray(values).ndim > 0 for values in measured)
    level = 1 - (1 - LEVEL) / max(1, by_chance)
    lines = []
    for claim, values in zip(claims, measured, strict=True):
        estimate, verdict = judge(values, claim.holds, level)
        expects = (
            "true" if estimate.method == EXACT and np.asarray(values).dtype == bool else str(claim.holds)
        )
        lines.append(
            ClaimLine(
                says=claim.says,
                who=claim.who,
                of=list(claim.of),
                about=claim.about,
                expects=expects,
                estimate=estimate,
                verdict=verdict,
                amended=claim.amended,
            )
        )
    return lines, level


def _only_here(claims: Sequence[Claim]) -> list[str]:
    """Claims that a person's own table does not decide, and why."""
    return [
        f"“{claim.says}” This is about the lesson's own rows: {claim.only_here}."
        for claim in claims
        if claim.only_here
    ]


def _reported(reported: Reported, seen: Seen) -> ReportedLine:
    ours = np.atleast_1d(np.asarray(reported.measure(seen), float))
    rounding = 0.5 * 10.0**-reported.digits
    low, high = float(ours.min()), float(ours.max())
    return ReportedLine(
        variant=reported.variant,
        what=reported.what,
        who=reported.who,
        value=reported.value,
        digits=reported.digits,
        middle=float(np.median(ours)),
        low=low,
        high=high,
        inside=low - rounding <= reported.value <= high + rounding,
    )


def _curves(lesson: Lesson, seen: Seen) -> list[LineFigure]:
    """The logs of all variants, test rows as lines and training rows dashed; each over its own epochs."""
    figures = []
    for log in lesson.curves:
        there = [v for v in lesson.variants if log in seen.trainings[v.name].logs]
        if not there:
            continue
        longest = max(seen.trainings[v.name].logs[log].shape[-1] for v in there)
        places = _places(longest)
        series = [
            _series(variant.title, seen.log(variant.name, name), places, dashed=dashed)
            for variant in there
            for name, dashed in ((f"val_{log}", False), (log, True))
            if name in seen.trainings[variant.name].logs
        ]
        figures.append(
            LineFigure(
                title=log.replace("_", " ").capitalize(),
                across="epoch",
                up=log.replace("_", " "),
                x=[float(place + 1) for place in places],
                series=series,
                log_x=longest > _PLACES,
                log_y="loss" in log,
            )
        )
    return figures


def _places(epochs: int) -> np.ndarray:
    """Places of the epochs shown: all of few, otherwise as dense at the start as at the end on a logarithmic scale."""
    if epochs <= _PLACES:
        return np.arange(epochs)
    return np.unique(np.geomspace(1, epochs, _PLACES).round().astype(int) - 1)


def _series(name: str, curves: np.ndarray, places: np.ndarray, *, dashed: bool = False) -> Series:
    """Median and band over seeds (seed, epoch) at some epochs."""
    some = places[places < curves.shape[1]]
    shown = curves[:, some]
    known = np.isfinite(shown).any(axis=0)
    low, middle, high = np.full((3, shown.shape[1]), np.nan)
    if known.any():
        low[known], middle[known], high[known] = np.nanquantile(
            np.where(np.isfinite(shown[:, known]), shown[:, known], np.nan), (_BAND[0], 0.5, _BAND[1]), axis=0
        )
    return Series(
        name=name,
        values=_listed(middle),
        low=_listed(low) if len(curves) > 1 else [],
        high=_listed(high) if len(curves) > 1 else [],
        dashed=dashed,
        group=name,
    )


def _listed(values: np.ndarray) -> list[float | None]:
    return [
        float(f"{value:.{_DECIMALS}g}") if np.isfinite(value) else None for value in np.asarray(values, float)
    ]


def _drawn(drawing: Drawing) -> LessonFigure:
    if isinstance(drawing, Lines):
        return LineFigure(
            title=drawing.title,
            across=drawing.across,
            up=drawing.up,
            x=[float(x) for x in drawing.x],
            series=[_line(name, np.asarray(values, float)) for name, values in drawing.lines.items()],
            points=drawing.points,
            log_x=drawing.log_x,
            log_y=drawing.log_y,
        )
    if isinstance(drawing, Bars):
        every = np.concatenate([np.ravel(values) for values in drawing.values.values()])
        edges = _edges(every[np.isfinite(every)])
        return BarFigure(
            title=drawing.title,
            across=drawing.across,
            edges=[float(edge) for edge in edges],
            counts={
                name: np.histogram(np.ravel(values), bins=edges)[0].tolist()
                for name, values in drawing.values.items()
            },
        )
    return _regions(drawing)


def _edges(values: np.ndarray) -> np.ndarray:
    """Edges of a histogram's bars: as many as suit the values, unless outliers make that very many."""
    width = 2 * float(np.subtract(*np.quantile(values, (0.75, 0.25)))) / len(values) ** (1 / 3)
    too_many = width > 0 and np.ptp(values) / width > _MOST_BARS
    return np.asarray(np.histogram_bin_edges(values, bins=_MOST_BARS if too_many else "auto"))


def _line(name: str, values: np.ndarray) -> Series:
    if values.ndim > 1:
        return _series(name, values, np.arange(values.shape[1]))
    return Series(name=name, values=_listed(values), group=name)


def _regions(drawing: Regions) -> RegionFigure:
    return RegionFigure(
        title=drawing.title,
        across=drawing.across,
        up=drawing.up,
        x=[float(x) for x in drawing.x],
        y=[float(y) for y in drawing.y],
        z=[[float(f"{value:.3g}") for value in row] for row in drawing.z],
        points=[(float(a), float(b)) for a, b in drawing.points],
        classes=[int(c) for c in drawing.classes],
    )


def _question(question: Question, lesson: Lesson, seen: Seen) -> QuestionLine:
    titles = {variant.name: variant.title for variant in lesson.variants}
    if isinstance(question, Choice):
        return QuestionLine(
            kind="choice",
            asks=question.asks,
            options=list(question.options),
            right=list(question.right),
            is_every_wanted=True,
            because=question.because,
        )
    if isinstance(question, Naming):
        return QuestionLine(
            kind="naming",
            asks=question.asks,
            accepted={name: list(others) for name, others in question.accepted.items()},
            wanted=question.wanted,
            because=question.because,
        )
    if isinstance(question, Match):
        return _match(question, titles, seen)
    return _winner(question, titles, seen)


def _winner(question: Winner, titles: dict[str, str], seen: Seen) -> QuestionLine:
    """Right are the best variant and those that cannot be told from it on the same seeds."""
    names = list(question.among or titles)
    scores = {name: np.asarray(question.measure(seen, name), float) for name in names}
    sign = 1 if question.highest else -1
    best = max(names, key=lambda name: _or_worst(sign * scores[name].mean()))
    alike = [name for name in names if name == best or _cannot_be_told(scores[name] - scores[best])]
    said = ", ".join(f"{titles[name]} {digits(float(scores[name].mean()))}" for name in names)
    tie = "" if len(alike) == 1 else " Those that count as right cannot be told apart on these seeds."
    return QuestionLine(
        kind="choice",
        asks=question.asks,
        options=[titles[name] for name in names],
        right=[names.index(name) for name in alike],
        because=f"The means over seeds: {said}.{tie}",
    )


def _or_worst(value: Any) -> float:  # noqa: ANN401
    return float(value) if np.isfinite(value) else -np.inf


def _cannot_be_told(difference: np.ndarray) -> bool:
    estimate = mean_of_seeds(difference)
    return bool(np.isfinite(estimate.value)) and estimate.contains(0.0)


def _match(question: Match, titles: dict[str, str], seen: Seen) -> QuestionLine:
    """Curves without names, in an order that does not tell which is which but is the same every time."""
    names = list(question.among)
    order = np.random.default_rng(len("".join(names))).permutation(len(names))
    longest = max(seen.log(name, question.log).shape[1] for name in names)
    places = _places(longest)
    figure = LineFigure(
        title="Which is which?",
        across="epoch",
        up=question.log.replace("val_", "test ").replace("_", " "),
        x=[float(place + 1) for place in places],
        series=[
            _series(f"curve {'ABCD'[k]}", seen.log(names[i], question.log), places)
            for k, i in enumerate(order)
        ],
        log_x=longest > _PLACES,
        log_y="loss" in question.log,
    )
    pairs = ", ".join(f"{'ABCD'[k]} is “{titles[names[i]]}”" for k, i in enumerate(order))
    return QuestionLine(
        kind="match",
        asks=question.asks,
        options=[titles[name] for name in names],
        right=[int(i) for i in order],
        because=f"Curve {pairs}.",
        figure=figure,
    )
