"""What a plan comes to, for the terminal: batches and updates, then time and money, then how to spend less."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from caviar.forecasting.forecast import Forecast
from caviar.planning.cost import Cost
from caviar.planning.updates import Workload
from caviar.report import wording

_LITTLE = 1.05  # nobody notices a smaller factor, and no measurement of seconds shows it

_ONE = "One training says little: --folds 10 --repeats 3 --seeds 3 shows what many would take."
_ADVICE = (
    (
        "Interruptible (spot) machines cost less and may be taken away at any moment. Caviar goes on where it was: "
        "caviar resume FOLDER for a run or a search, caviar queue resume FOLDER for a queue, folder= in caviar.fit. "
        "Keep these folders on a disk that outlives the machine."
    ),
    "Shut the rented machine down once the results are copied: idle, it costs the same.",
    (
        "Several experiments run one after the other in the background: caviar queue a.toml b.toml --background; "
        "caviar queue --help tells more."
    ),
)


def forecast(plan: Forecast) -> RenderableType:
    """A plan as something a rich console prints.

    >>> from rich.console import Console
    >>> from caviar.planning.updates import workload
    >>> Console(width=80).print(forecast(Forecast(workload(200, 5, 1000))))
    <BLANKLINE>
    200 rows in batches of 5, 1,000 epochs: mini-batch gradient descent
    <BLANKLINE>
    One epoch   40 updates of the weights: 40 batches of 5 rows.
    In all      40,000 updates.
    <BLANKLINE>
    Time        Not measured. Without --no-measure, a few seconds of training tell.
    <BLANKLINE>
    """
    work = plan.work
    title = (
        f"{wording.count(work.rows, 'row')} in batches of {work.batch_size:,}, "
        f"{wording.count(work.epochs, 'epoch')}: {work.method}"
    )
    lines = [("One epoch", _epoch(work)), *_trainings(work), ("In all", _updates(work))]
    parts: list[RenderableType] = [Text(), Text(title, style="bold"), Text(), _lines(lines), Text()]
    if plan.loop is None:
        said = "Not measured. Without --no-measure, a few seconds of training tell."
        return Group(*parts, _lines([("Time", said)]), Text())
    return Group(
        *parts,
        _lines(_time(plan, plan.loop)),
        Text(),
        _lines(_money(plan, plan.loop)),
        Text(),
        _lines(_advice(work)),
        Text(),
    )


def _lines(lines: list[tuple[str, str]]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(width=10, style="dim")
    table.add_column(overflow="fold")
    for label, text in lines:
        table.add_row(Text(label), Text(text))
    return table


def _epoch(work: Workload) -> str:
    of = work.batches
    updates = f"{wording.count(of.count, 'update')} of the weights"
    full = f"{_batches(of.full)} of {wording.count(of.size, 'row')}"
    if not of.last:
        return f"{updates}: {full}."
    heavier = wording.number(round(of.size / of.last, 1))
    left = "others each time if rows are shuffled"
    return (
        f"{updates}: {full} and one of {of.last:,}. A row of the smaller batch counts {heavier} times as much in its "
        f"update. Dropping that batch would leave {wording.count(of.full, 'update')} per epoch and skip "
        f"{wording.count(of.last, 'row')} ({wording.percent(of.last / of.rows)}) in each, {left}."
    )


def _batches(number: int) -> str:
    return f"{number:,} batch{'' if number == 1 else 'es'}"


def _trainings(work: Workload) -> list[tuple[str, str]]:
    if work.trainings == 1:
        return []
    parts = {"fold": work.folds or 1, "repeat": work.repeats, "seed": work.seeds, "trial": work.trials}
    product = f" {wording.TIMES} ".join(
        wording.count(number, name) for name, number in parts.items() if number > 1
    )
    rows = ""
    if work.folds is not None:
        sizes = " or ".join(f"{size:,}" for size in sorted(work.training_rows))
        rows = f", each on {sizes} of the {work.rows:,} rows"
    return [("Trainings", f"{product} = {work.trainings:,} trainings{rows}.")]


def _updates(work: Workload) -> str:
    if work.trainings == 1:
        return f"{wording.count(work.updates, 'update')}."
    most = "up to " if len(work.training_rows) > 1 else ""
    return f"{work.updates:,} updates: {most}{work.updates_each:,} per training."


def _time(plan: Forecast, loop: Cost) -> list[tuple[str, str]]:
    measured = (
        f"Measured on this machine ({plan.machine}) in a few seconds: {plan.network}, on random numbers. In brackets "
        f"the fastest and the slowest stretch. Reading data, watching validation rows and stopping early are not "
        f"counted."
    )
    trainings = plan.work.trainings
    one = "one training" if trainings == 1 else f"{trainings:,} trainings, one after the other"
    each = "" if trainings == 1 else ", each time"
    by_fit = (
        f"{_spoken(loop.seconds)} for {one}. Extrapolated from one fit: {_duration(loop.speed.beginning)} to build "
        f"and compile{each}, then {_per_update(loop)}."
    )
    return [("Time", measured), ("Keras fit", by_fit), ("Caviar", _together(plan, loop))]


def _together(plan: Forecast, loop: Cost) -> str:
    cost, trainings = plan.population, plan.work.trainings
    if cost is None:
        return "JAX cannot train this model as a population, so Caviar trains one at a time, as above."
    trained = "as a population of one" if trainings == 1 else f"for all {trainings:,} as one population"
    part = f", measured with {cost.speed.members:,} of them" if cost.speed.members < trainings else ""
    text = (
        f"{_spoken(cost.seconds)} {trained}{part}: {_duration(cost.speed.beginning)} to build and compile once (less "
        f"the next time: programs are kept), then {_per_update(cost)}{' of one network' if trainings > 1 else ''}. "
        f"{_compared(loop.seconds[0] / cost.seconds[0])}"
    )
    if plan.work.trials > 1:
        text += (
            " Trials that differ in more than numbers, such as depths or batch sizes, compile a program each."
        )
    return text


def _compared(factor: float) -> str:
    if 1 / _LITTLE < factor < _LITTLE:
        return "That is as long as the loop."
    if factor > 1:
        return f"The loop takes {wording.number(factor, 1 if factor < 10 else 0)} times as long."
    return f"The loop takes only {wording.percent(factor)} of that: a population pays once there are several trainings."


def _spoken(seconds: tuple[float, float, float]) -> str:
    median, low, high = map(_duration, seconds)
    return median if low == high else f"{median} ({low} to {high})"


def _duration(seconds: float) -> str:
    if seconds < 0.05:
        return "no time worth mentioning"
    days = seconds / 86_400
    return wording.duration(seconds) if days < 3 else f"{days:,.0f} days"


def _per_update(cost: Cost) -> str:
    """Time of an update, the range in the same unit."""
    speed = cost.speed
    unit, name = next(
        (unit, name)
        for unit, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))
        if speed.update >= unit or unit == 1e-6
    )
    low, median, high = (
        f"{one / unit:.3g}" if one / unit < 100 else f"{one / unit:,.0f}"
        for one in (min(speed.pieces), speed.update, max(speed.pieces))
    )
    stretches = wording.count(len(speed.pieces), "stretch").replace("stretchs", "stretches")
    return f"{median} {name} per update" + ("" if low == high else f" ({low} to {high}, {stretches})")


def _money(plan: Forecast, loop: Cost) -> list[tuple[str, str]]:
    fast = (
        "as fast as this one"
        if plan.speedup == 1
        else f"{wording.number(plan.speedup)} times as fast as this one"
    )
    known = "nobody knows before it was measured there" if plan.speedup == 1 else "your --speedup says so"
    if plan.population is None:
        costs = f"{_dollars(loop)} for the trainings above"
    else:
        costs = f"{_dollars(loop)} for the loop, {_dollars(plan.population)} as a population"
    text = (
        f"{costs}, on a rented machine at ${plan.dollars_per_hour:,.2f} per hour that is {fast} ({known}: run this "
        f"command on it, and give the ratio as --speedup). Prices change: look yours up and give it as "
        f"--dollars-per-hour."
    )
    return [("Money", text)]


def _dollars(cost: Cost) -> str:
    median, low, high = cost.dollars
    if high < 0.01:
        return "less than $0.01"
    low_text, text, high_text = (f"${one:,.2f}" for one in (low, median, high))
    return text if low_text == high_text else f"{text} ({low_text} to {high_text})"


def _advice(work: Workload) -> list[tuple[str, str]]:
    advice = list(_ADVICE)
    if work.trainings == 1:
        advice.insert(0, _ONE)
    return [("Advice" if place == 0 else "", text) for place, text in enumerate(advice)]
