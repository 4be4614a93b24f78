"""Which of several recipes is better on a table, and by how much? Same rows, folds and seeds for all of them."""

import time as clock
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from caviar.data.load import load
from caviar.data.split import make_splits
from caviar.errors import OptionError
from caviar.evaluate.compare import judge
from caviar.evaluate.wording import digits, listed
from caviar.measuring.bounded import measure_within
from caviar.measuring.measure import Arm, Bench, measure_all
from caviar.measuring.table import (
    REFERENCE_SHARE,
    check_numbers,
    common_facts,
    find_metrics,
    find_scale,
    keras_speaks_plainly,
    name_of,
    read_recipe,
    remarks_on,
    score_of,
    try_fitting,
)
from caviar.measuring.trial import Trial, expected_steps
from caviar.planning.plan import first_plan
from caviar.population.job import Monitor
from caviar.progress import Clock, Voice
from caviar.recipe.builder import Builder
from caviar.recipe.recipe import Recipe
from caviar.run.record import ComparisonRecord
from caviar.run.studies import CompareRecord, Scale

SEEDS = 3
"""Seeds per fold: what seeds alone do to a score is told from what recipes do."""


def compare(
    models: Sequence[str | Builder],
    source: object,
    target: str | int | Sequence[str | int] | None = None,
    *,
    task: str | None = None,
    header: bool | None = None,
    sep: str | None = None,
    drop: Sequence[str | int] = (),
    group: str | int | None = None,
    time: str | int | None = None,
    weight: str | int | None = None,
    metric: str | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    folds: int | None = None,
    repeats: int | None = None,
    seeds: int = SEEDS,
    rope: float | None = None,
    minutes: float | None = None,
    seed: int = 0,
    quiet: bool = False,
    began: float | None = None,
) -> CompareRecord:
    """Compare recipes on the same folds with the same seeds: is the first one better or worse than the others?

    Differences are paired; their intervals are Nadeau and Bengio's, verdicts are adjusted for the number of
    comparisons (Holm), and differences too small to matter count as none.

    Args:
        models: Two builders or more (functions or `"file.py:function"`); the others are compared with the first.
        source: CSV or Parquet file, pandas or polars frame, `(X, y)` arrays, or `"sample:breast-cancer"`.
        target: Column to predict, by name or position; several of them for multi-output regression.
        task: `"binary"`, `"multiclass"` or `"regression"` where inference is wrong.
        header: Whether a CSV file's first line names the columns; detected if not given.
        sep: A CSV file's separator; detected if not given.
        drop: Columns that are not inputs.
        group: Column of groups that must stay in one fold.
        time: Column whose order splits must respect.
        weight: Column of row weights, for the loss and the score.
        metric: The score that decides; log-loss or MAE if not given.
        epochs: Passes over the training rows.
        batch_size: Rows per gradient step.
        folds: Folds of the cross-validation; 10 if not given.
        repeats: Repeats of it; 3 if not given, fewer when `minutes` demands it.
        seeds: Seeds per fold.
        rope: Smallest difference that counts, in the metric's unit; 2 % of the way from no-skill to the best
            reference row if not given.
        minutes: Bound on the whole command.
        seed: Where all seeds start.
        quiet: Print nothing.
        began: What `time.monotonic()` said when the command began; now if not given.

    Returns:
        Every recipe's score with its interval, every comparison with its verdict, and the outcome in one sentence.

    Raises:
        CaviarError: One sentence on what was expected, what was seen, and what to do.

    Example:
        >>> import caviar
        >>> found = caviar.compare([small, large], "sample:breast-cancer")  # doctest: +SKIP
        >>> found.sentence, found.comparisons[0].difference  # doctest: +SKIP
    """
    given = {"epochs": epochs, "batch_size": batch_size, "folds": folds, "repeats": repeats, "seeds": seeds}
    check_numbers(given | {"rope": rope, "minutes": minutes, "seed": seed})
    limit, voice = Clock(minutes, clock.monotonic() if began is None else began), Voice(quiet=quiet)
    if isinstance(models, str) or len(models) < 2:
        raise OptionError(
            f"Expected two builders or more to compare, got {models if isinstance(models, str) else len(models)}. "
            f"Name another one, for example other.py:build."
        )
    with keras_speaks_plainly(), limit.listening():
        bench, recipes, why = bench_and_recipes(
            models,
            source,
            target,
            metric=metric,
            epochs=epochs,
            batch_size=batch_size,
            folds=folds,
            repeats=repeats,
            seed=seed,
            reading={
                "task": task,
                "header": header,
                "sep": sep,
                "drop": drop,
                "group": group,
                "time": time,
                "weight": weight,
            },
        )
        if why:
            voice.note(why)
        return compare_recipes(bench, recipes, seeds, rope, limit, voice, may_be_fewer=repeats is None)


def bench_and_recipes(
    models: Sequence[str | Builder],
    source: object,
    target: str | int | Sequence[str | int] | None,
    *,
    metric: str | None,
    epochs: int | None,
    batch_size: int | None,
    folds: int | None,
    repeats: int | None,
    seed: int,
    reading: Mapping[str, Any],
) -> tuple[Bench, list[Recipe], str]:
    """What recipes are compared on, the recipes under names of their own, and why there are fewer folds than usual.

    Raises:
        CaviarError: A recipe does not fit the table, or one of them cannot be read.
    """
    dataset = load(source, target, **reading)
    deciding, _ = find_metrics(dataset, metric)
    names = _told_apart([name_of(model) for model in models])
    plan = first_plan(dataset, folds, repeats)
    recipes = [
        replace(
            read_recipe(dataset, model, epochs, batch_size, absolute=deciding.name == "mae"),
            name=name,
            title=name,
        )
        for name, model in zip(names, models, strict=True)
    ]
    bench = Bench(dataset, make_splits(dataset, plan.folds, plan.repeats, seed), deciding, (), seed)
    for recipe in recipes:
        try_fitting(bench, recipe)
    return bench, recipes, plan.why


def compare_recipes(
    bench: Bench,
    recipes: Sequence[Recipe],
    seeds: int,
    rope: float | None,
    limit: Clock,
    voice: Voice,
    *,
    may_be_fewer: bool,
) -> CompareRecord:
    """Measure recipes on the same folds with the same seeds, and judge all of them beside the first.

    Args:
        bench: Rows, splits and the score that decides.
        recipes: What is compared, with names of their own.
        seeds: Seeds per fold.
        rope: Smallest difference that counts; derived if None.
        limit: The time given.
        voice: Says what happens.
        may_be_fewer: Whether repeats may be given up where the time does not suffice.
    """
    scale = find_scale(bench, rope, voice, REFERENCE_SHARE * limit.left())
    bench, arms = measure_within(
        bench,
        lambda smaller, monitor: _measured(smaller, recipes, seeds, monitor),
        lambda smaller: seeds * sum(expected_steps(smaller, recipe) for recipe in recipes),
        voice=voice,
        clock=limit,
        title=f"{len(recipes)} recipes",
        least=1 if may_be_fewer else None,
    )
    for arm in arms:
        for remark in remarks_on(arm):
            voice.note(f"{arm.recipe.name}: {remark}")
    return compared(bench, arms, scale, seeds, limit, voice)


def _told_apart(names: Sequence[str]) -> list[str]:
    """Names with a number where several builders have the same one."""
    seen: Counter[str] = Counter()
    told = []
    for name in names:
        seen[name] += 1
        told.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return told


def _measured(bench: Bench, recipes: Sequence[Recipe], seeds: int, monitor: Monitor) -> list[Arm]:
    nothing = [""] * len(recipes)
    return measure_all(
        bench, recipes, seeds=seeds, show=False, monitor=monitor, what=nothing, sources=nothing
    )


def compared(
    bench: Bench, arms: Sequence[Arm], scale: Scale, seeds: int, spent: Clock, voice: Voice
) -> CompareRecord:
    """Measured recipes beside the first of them.

    Args:
        bench: What they were measured on.
        arms: What measuring gave, in the order given.
        scale: What counts as a difference.
        seeds: Seeds per fold.
        spent: How long it took.
        voice: What was said meanwhile.
    """
    first, *others = arms
    trial = Trial(first, others)
    judged = judge(
        [
            trial.compared(
                bench,
                first,
                other,
                scale.rope,
                called=(f"from {other.recipe.name}", f"from {first.recipe.name}"),
            )
            for other in others
        ]
    )
    comparisons = [one.model_copy(update={"sentence": in_words(one, first.recipe.name)}) for one in judged]
    return CompareRecord(
        **common_facts(bench, seeds, scale, spent, voice),
        recipes=[score_of(bench, arm.recipe.name, arm, trial.scores(arm)) for arm in arms],
        comparisons=comparisons,
        sentence=" ".join([in_all(comparisons, first.recipe.name), *_failures(arms)]),
    )


def _failures(arms: Sequence[Arm]) -> list[str]:
    """Which trainings failed, a sentence for each recipe that has such."""
    return [
        f"{arm.record.failed_members} of {arm.record.members} trainings of {arm.recipe.name} failed."
        for arm in arms
        if arm.record.failed_members
    ]


_BEGINNINGS = {
    "helps": "{one} is better than {first}",
    "harms": "{one} is worse than {first}",
    "no practical difference": "There is no practical difference between {one} and {first}",
    "not enough data": "There is not enough data to tell {one} from {first}",
}


def in_words(comparison: ComparisonRecord, first: str) -> str:
    """The verdict on one comparison, with its size and what counts as a difference.

    Args:
        comparison: As it was judged, with the sentence of a remedy.
        first: Name of the recipe that the others are compared with.
    """
    beginning = _BEGINNINGS[comparison.verdict].format(one=comparison.remedy, first=first)
    return f"{beginning}: {comparison.sentence.removeprefix(f'{comparison.verdict}: ')}."


def in_all(comparisons: Sequence[ComparisonRecord], first: str) -> str:
    """The outcome of all comparisons in one sentence.

    Args:
        comparisons: As they were judged.
        first: Name of the recipe that the others are compared with.
    """
    if len(comparisons) == 1:
        alone = comparisons[0]
        size = digits(abs(alone.difference.value))
        beginning = _BEGINNINGS[alone.verdict].format(one=alone.remedy, first=first)
        if alone.verdict in {"helps", "harms"}:
            return f"{beginning}, by {size}."
        return f"{beginning}{would_decide([alone])}."
    by_verdict = {verdict: [one for one in comparisons if one.verdict == verdict] for verdict in _BEGINNINGS}
    clauses = [
        said.format(
            names=listed([one.remedy for one in some]),
            be="is" if len(some) == 1 else "are",
            first=first,
            would=would_decide(some),
        )
        for verdict, said in (
            ("helps", "{names} {be} better than {first}"),
            ("harms", "{names} {be} worse than {first}"),
            ("no practical difference", "{names} {be} practically the same as {first}"),
            ("not enough data", "there is not enough data to tell {names} from {first}{would}"),
        )
        if (some := by_verdict[verdict])
    ]
    text = "; ".join(clauses)
    return f"{text[:1].upper() if text.startswith('there') else text[:1]}{text[1:]}."


def would_decide(some: Sequence[ComparisonRecord]) -> str:
    """How many repeats would decide all that is open, where that is known."""
    needed = [one.repeats_needed for one in some if one.verdict == "not enough data"]
    known = [repeats for repeats in needed if repeats is not None]
    return f": about {max(known)} repeats would decide" if known and len(known) == len(needed) else ""


def builders_and_table(names: Sequence[str]) -> tuple[list[str], str]:
    """Tell builders (`file.py:function`) from the one table among a command's arguments.

    Raises:
        OptionError: There is no table, or more than one.

    >>> builders_and_table(["a.py:build", "iris.csv", "b.py:build"])
    (['a.py:build', 'b.py:build'], 'iris.csv')
    """
    builders = [name for name in names if name.endswith(".py") or name.rpartition(":")[0].endswith(".py")]
    tables = [name for name in names if name not in builders]
    if len(tables) != 1:
        raise OptionError(
            f"Expected one table beside the builders, got {', '.join(tables) or 'none'}. "
            f"Pass builders as file.py:function and one table, for example a.py:build b.py:build table.csv."
        )
    return builders, tables[0]
