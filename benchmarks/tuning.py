"""How much faster than KerasTuner and Optuna does Caviar search settings, and is what it chooses as good?

    CAVIAR_DATA=… python benchmarks/tuning.py            # hours; resumes row by row; writes docs/tuning.md
    CAVIAR_DATA=… python benchmarks/tuning.py --quick    # a quarter of an hour on two quiet cores, printed only

*Races*: whole processes, imports included, in turns: 256 trials that differ in numbers, and 64 different shapes, five
folds each. *Like with like*: KerasTuner's Hyperband, whose trials are short, beside Caviar's own. *Choices*: every
tool searches the same rows with as many trials, each with its own way of scoring; what it chooses is trained anew on
all of these rows, the same for everybody, and scored on rows that no tool saw. What is trained stands in
tuning_contenders.py; KerasTuner and Optuna have an environment of their own, made on the first run.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from caviar.estimate import Estimate
from caviar.evaluate.intervals import mean_estimate
from speed import ENVIRONMENTS, ROOT, NotAvailable, machine, prepared, timed
from tables import load_before, number, spread, write
from tuning_contenders import FOLDS, KERAS_TUNER, TABLES

PAGE = ROOT / "docs" / "tuning.md"
PROGRAM = Path(__file__).with_name("tuning_contenders.py")
PEERS = ("optuna", *KERAS_TUNER)
LABELS = {"caviar": "Caviar", "optuna": "Optuna, TPE"} | {name: f"KerasTuner, {name}" for name in KERAS_TUNER}
SPACES = {
    "numbers": "learning rate, dropout and L2: one structure",
    "shapes": "depth and width: all of them different",
}
# So many times faster, in so many trials, with an empty compilation cache.
AIMS = {"numbers": (30.0, 256), "shapes": (5.0, 64)}
# Same seeds, folds and backend: rounding only, which epochs amplify. As a share of the score, and absolute.
_SAME = (0.05, 0.01)
# Real tables: a third is tested on. Rows of a pool are drawn anew: splits share few of them.
_TEST_TO_SEARCH = 0.5
_ALPHA = 0.05
_FEWEST_SPLITS = 5  # fewer could not show a loss of any size

_QUICK = (
    "This was the quick run (`--quick`): one table, one round, few trials and splits{}. Its ratios are rough, and "
    "intervals over two splits say next to nothing.\n"
)
_BUSY = ", while other work ran on the same cores"

Line = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """What is run.

    Attributes:
        races: Table and space.
        rounds: How often each race is run.
        searched: Trials of a race, by space.
        part: Trials of a peer that are trained, by space; the whole is worked out from them.
        within: Seconds for which a peer's whole search is gone through with made-up scores.
        choices: Tables of the second question.
        splits: Of each table.
        trials: Of each tool.
        seeds: Networks that are trained of what a tool chose.
        tools: Who chooses.
    """

    races: tuple[tuple[str, str], ...]
    rounds: int
    searched: dict[str, int]
    part: dict[str, int]
    within: float
    choices: tuple[str, ...]
    splits: int
    trials: int
    seeds: int
    tools: tuple[str, ...]

    def rows(self) -> Iterator[tuple[str, str, str, int]]:
        """Kind, table, space and number of every row, in an order in which early ends leave something of each."""
        races = [
            (kind, *race, turn)
            for turn in range(self.rounds)
            for race in self.races
            for kind in ("race", "hyperband")
            if kind == "race" or "Hyperband" in self.tools
        ]
        choices = [
            ("choice", table, "mixed", place) for place in range(self.splits) for table in self.choices
        ]
        while races or choices:
            yield from (rest.pop(0) for rest in (races, choices) if rest)


FULL = Plan(
    races=tuple(product(("sonar", "pima", "classes", "values", "mammography"), SPACES)),  # the largest last
    rounds=3,
    searched={space: trials for space, (_, trials) in AIMS.items()},
    part={"numbers": 1, "shapes": 3},
    within=20.0,
    choices=tuple(TABLES),
    splits=8,
    trials=16,
    seeds=5,
    tools=("caviar", *PEERS),
)
QUICK = Plan(
    races=(("sonar", "numbers"), ("sonar", "shapes")),
    rounds=1,
    searched={"numbers": 256, "shapes": 8},
    part={"numbers": 1, "shapes": 2},
    within=10.0,
    choices=("sonar",),
    splits=2,
    trials=6,
    seeds=5,
    tools=(
        "caviar",
        "optuna",
        "RandomSearch",
        "BayesianOptimization",
    ),  # Hyperband has some 90 short trainings
)


def process(tool: str, *arguments: str, cache: str) -> tuple[float, Line]:
    """Seconds of a contender's process, and what it said.

    Raises:
        NotAvailable: It failed.
    """
    variables = {"PYTHONPATH": str(ROOT / "src")}
    if tool == "caviar":
        return timed(Path(sys.executable), [str(PROGRAM), *arguments], variables | {"XDG_CACHE_HOME": cache})
    variables |= {
        "KERAS_BACKEND": "jax",
        "JAX_COMPILATION_CACHE_DIR": cache,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    return timed(prepared("keras-tuner", ENVIRONMENTS), [str(PROGRAM), *arguments], variables)


def race(plan: Plan, table: str, space: str) -> Line:
    """One turn of everybody."""
    line = own_search(plan, table, space)
    for tool in PEERS:
        time_peer(line, plan, table, space, tool)
    require_same(line, table, space)
    return line


def hyperbands(plan: Plan, table: str, space: str) -> Line:
    """One turn of KerasTuner's Hyperband and Caviar's."""
    line = own_search(plan, table, space, "--hyperband")
    time_peer(line, plan, table, space, "Hyperband")
    return line


def own_search(plan: Plan, table: str, space: str, *more: str) -> Line:
    """Caviar's seconds with an empty compilation cache and with what the first search left there."""
    line: Line = {"caviar": [], "peers": {}, "versions": {}}
    trials = plan.searched[space]
    common = (table, space, "--trials", str(trials), *more)
    with tempfile.TemporaryDirectory() as cache:
        for name in ("cold", "warm"):
            seconds, said = process("caviar", "search", "caviar", *common, cache=cache)
            line["caviar"].append(seconds)
            line["versions"] |= said["versions"]
            line |= {"epochs": said["epochs"]} if "epochs" in said else {}
            print(f"  Caviar, {name}: {seconds:.1f} s, {said['finished']} trials", flush=True)
            if said["finished"] < trials:
                raise SystemExit(f"Expected {trials} finished trials of Caviar, got {said['finished']}.")
    return line


def time_peer(line: Line, plan: Plan, table: str, space: str, tool: str) -> None:
    """Add what a peer's whole search takes."""
    trials = plan.searched[space]
    part = ("--trials", str(trials), "--part", str(plan.part[space]), "--within", str(plan.within))
    with tempfile.TemporaryDirectory() as cache:
        seconds, said = process(tool, "search", tool, table, space, *part, cache=cache)
    line["peers"][tool] = {
        "seconds": whole(said, seconds, trials), "fits": len(said["fits"]), "trials": said["trials"],
        "tried": len(said["lengths"]), "epochs": float(np.mean(said["lengths"])),
    }  # fmt: skip
    line["versions"] |= said["versions"]
    print(f"  {LABELS[tool]}: {seconds:.1f} s for {len(said['fits'])} fits", flush=True)


def whole(said: Line, seconds: float, trials: int) -> float:
    """Seconds of a peer's whole search, from a process that trained a part of it.

    >>> fits = [(3.0, 0.1, True), *[(1.0, 0.1, False)] * 4]  # 7 + 5 folds x 10 epochs x 0.1 = 12 for each trial
    >>> said = {"fits": fits, "trained": 12.0, "itself": 2.0, "lengths": [10, 10]}  # 1 for what the tool does itself
    >>> whole(said, 20.0, 100)  # 6 to start
    1306.0
    """
    apart, epoch, first = np.array(said["fits"]).T
    first = first.astype(bool)
    share = trials / len(said["lengths"])
    start = seconds - said["itself"] - said["trained"]
    each = apart[first].mean() + (FOLDS - 1) * apart[~first].mean()
    epochs = FOLDS * sum(said["lengths"]) * share * float(np.nanmean(epoch))
    return round(float(start + share * said["itself"] + trials * each + epochs), 3)


def require_same(line: Line, table: str, space: str) -> None:
    """Caviar's held-out scores of the settings that peers trained must be theirs.

    Raises:
        SystemExit: They trained something else.
    """
    trials = [one for peer in line["peers"].values() for one in peer["trials"] if one["whole"]]
    told = json.dumps([one["settings"] for one in trials])
    with tempfile.TemporaryDirectory() as cache:
        _, said = process("caviar", "same", "caviar", table, space, "--settings", told, cache=cache)
    theirs, ours = np.array([one["score"] for one in trials]), np.array(said["scores"])
    line["same"] = [theirs.mean(), ours.mean()]
    share, least = _SAME
    if abs(theirs.mean() - ours.mean()) > max(share * ours.mean(), least):
        raise SystemExit(f"Expected the same scores from everybody, got {theirs} and Caviar's {ours}.")


def choice(plan: Plan, table: str, space: str, place: int) -> Line:
    """What each tool chooses on the rows of one split, and what that is worth on rows that nobody saw."""
    line: Line = {"settings": {}, "epochs": {}, "seconds": {}, "versions": {}, "scores": {}}
    where = (table, space, "--split", str(place))
    with tempfile.TemporaryDirectory() as cache:  # everybody's, as seconds are not compared here
        for tool in plan.tools:
            seconds, said = process(tool, "choose", tool, *where, "--trials", str(plan.trials), cache=cache)
            line["settings"][tool], line["epochs"][tool] = said["settings"], said["epochs"]
            line["seconds"][tool] = round(seconds, 1)
            line["versions"] |= said["versions"]
            print(f"  {LABELS[tool]}: {seconds:.1f} s, {said['settings']}", flush=True)
        told = json.dumps([line["settings"][tool] for tool in plan.tools])
        more = ("--seeds", str(plan.seeds), "--settings", told)
        _, said = process("caviar", "judge", "caviar", *where, *more, cache=cache)
    line["scores"] = dict(zip(plan.tools, said["scores"], strict=True))
    return line


def race_lines(plan: Plan, space: str, lines: Sequence[Line]) -> list[str]:
    """The table of one space: ratios first."""
    found = [line for line in lines if line["kind"] == "race" and line["space"] == space]
    text = [
        (
            f"**{plan.searched[space]} trials of {SPACES[space]}**, {FOLDS} folds each: how many times longer than "
            f"Caviar with an empty compilation cache (with that of an earlier search)."
        ),
        "",
        f"| table | Caviar, seconds | {' | '.join(LABELS[tool] for tool in PEERS)} |",
        "| --- | ---: |" + " ---: |" * len(PEERS),
    ]
    ratios: dict[str, float] = {}
    for name, table in TABLES.items():
        turns = [line for line in found if line["table"] == name]
        if not turns:
            continue
        cold, warm = np.array([turn["caviar"] for turn in turns]).T
        cells = [f"{spread(cold)} ({number(float(np.median(warm)))})"]
        for tool in PEERS:
            seconds = np.array([turn["peers"][tool]["seconds"] for turn in turns])
            ratios[f"{table.title}, {LABELS[tool]}"] = float(np.median(seconds / cold))
            again = number(float(np.median(seconds / warm)))
            cells.append(f"{spread(seconds / cold)} × ({again} ×), ≈ {number(float(np.median(seconds)))} s")
        text.append(f"| {table.title} | {' | '.join(cells)} |")
    if not ratios:
        return []
    lowest = min(ratios, key=lambda one: ratios[one])
    aim, of = AIMS[space]
    missed = [one for one, ratio in ratios.items() if ratio < aim]
    reached = (
        f"**not reached** in {len(missed)} of {len(ratios)} ({'; '.join(missed)})" if missed else "reached"
    )
    if plan.searched[space] != of:
        reached = f"not measured, for there were {plan.searched[space]} trials here"
    text += [
        "",
        (
            f"Aim: at least {aim:.0f} times in {of} trials, empty cache: {reached}; lowest: {number(ratios[lowest])} "
            f"times ({lowest}). Every peer's seconds (≈) are scaled from {plan.part[space] * FOLDS} fits, of "
            f"its own first trials."
        ),
        "",
    ]
    return text


def hyperband_lines(plan: Plan, lines: Sequence[Line]) -> list[str]:
    """The table of Hyperband beside Hyperband."""
    found = [line for line in lines if line["kind"] == "hyperband"]
    if not found:
        return []
    text = [
        (
            f"**Hyperband beside Hyperband**, {FOLDS} folds each: the aims' numbers of trainings, of which KerasTuner "
            f'counts each as a trial; how many times longer it takes than `search="hyperband"` with an empty '
            f"compilation cache (with that of an earlier search), and the epochs that a training has on average."
        ),
        "",
        "| table | space | trainings | Caviar, seconds | epochs | KerasTuner, epochs | KerasTuner |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    missed, ratios = [], list[float]()
    for space, name in product(SPACES, TABLES):
        turns = [line for line in found if (line["space"], line["table"]) == (space, name)]
        if not turns:
            continue
        cold, warm = np.array([turn["caviar"] for turn in turns]).T
        peers = [turn["peers"]["Hyperband"] for turn in turns]
        seconds = np.array([peer["seconds"] for peer in peers])
        ratios.append(float(np.median(seconds / cold)))
        missed += [f"{TABLES[name].title}, {space}"] if ratios[-1] < AIMS[space][0] else []
        again = number(float(np.median(seconds / warm)))
        text.append(
            f"| {TABLES[name].title} | {space} | {plan.searched[space]} | {spread(cold)} "
            f"({number(float(np.median(warm)))}) | {number(float(np.mean(turns[0]['epochs'])))} | "
            f"{number(peers[0]['epochs'])} | {spread(seconds / cold)} × ({again} ×), "
            f"≈ {number(float(np.median(seconds)))} s |"
        )
    how = f"**not reached** in {len(missed)} of {len(ratios)} ({'; '.join(missed)})" if missed else "reached"
    aims = " and ".join(f"{AIMS[space][0]:.0f} times in {space}" for space in SPACES)
    return [*text, "", f"The aims here, at least {aims}, empty cache: {how}.", ""]


def differences(
    tools: Sequence[str], turns: Sequence[Line], test_share: float, level: float = 0.95
) -> dict[str, Estimate]:
    """By tool, how much worse than Caviar's choice its own is on rows that nobody saw; below 0: better."""
    means = {tool: np.array([np.mean(turn["scores"][tool]) for turn in turns]) for tool in tools}
    return {
        tool: mean_estimate((means[tool] - means["caviar"])[:, None], test_share, level)
        for tool in tools
        if tool != "caviar"
    }


def choice_lines(plan: Plan, lines: Sequence[Line]) -> list[str]:
    """The table of the choices."""
    found = [line for line in lines if line["kind"] == "choice"]
    peers = [tool for tool in plan.tools if tool != "caviar"]
    runs = "Hyperband" in peers
    hyperband = (
        f"Hyperband: {'one whole iteration, most of it short trials' if runs else 'not in the quick run'}"
    )
    text = [
        (
            f"**What was chosen, on rows that nobody saw**: {plan.trials} trials of rate, dropout, L2, depth, width by "
            f"each tool ({hyperband}); log-loss (values: squared error) of what it chose, trained on all rows that it "
            f"searched, with {plan.seeds} seeds. Peers: how much more than Caviar's choice, with its 95 % interval "
            f"over the splits; above 0, Caviar's choice is better."
        ),
        "",
        f"| table | splits | Caviar's | {' | '.join(LABELS[tool] for tool in peers)} |",
        "| --- | ---: | ---: |" + " ---: |" * len(peers),
    ]
    by_table = {name: [line for line in found if line["table"] == name] for name in TABLES}
    by_table = {name: turns for name, turns in by_table.items() if len(turns) > 1}
    if not by_table:
        return []
    worse, told = [], len(by_table) * len(peers)
    for name, turns in by_table.items():
        table = TABLES[name]
        own = float(np.mean([turn["scores"]["caviar"] for turn in turns]))
        share = 0.0 if table.synthetic else _TEST_TO_SEARCH
        beyond = differences(plan.tools, turns, share)
        cells = [f"{one.value:+.3f} ({one.low:+.3f} to {one.high:+.3f})" for one in beyond.values()]
        text.append(f"| {table.title} | {len(turns)} | {own:.3f} | {' | '.join(cells)} |")
        sure = differences(plan.tools, turns, share, 1 - _ALPHA / told)
        worse += [f"{table.title}, {LABELS[tool]}" for tool, one in sure.items() if one.high < 0]
    how = f"**not reached**: {'; '.join(worse)}" if worse else "reached"
    if (fewest := min(map(len, by_table.values()))) < _FEWEST_SPLITS:
        how = f"not judged, for {fewest} splits are too few"
    trained = ", ".join(
        f"{LABELS[tool]} {number(float(np.mean([turn['epochs'][tool] for turn in found])))}"
        for tool in plan.tools
    )
    aim = (
        f"Aim: Caviar's choice nowhere worse beyond noise (Bonferroni over {told} comparisons): {how}. Epochs trained, "
        f"on average: {trained}."
    )
    return [*text, "", aim, ""]


def page(plan: Plan, lines: Sequence[Line], *, quick: bool) -> dict[str, str]:
    """What is written to the page: races and choices, each if there are any."""
    parts = {
        "tuning": [line for space in SPACES for line in race_lines(plan, space, lines)],
        "tuning_hyperband": hyperband_lines(plan, lines),
        "tuning_choices": choice_lines(plan, lines),
    }
    kinds = dict(zip(parts, ROWS, strict=True))
    return {
        name: _with_notes(text, [line for line in lines if line["kind"] == kinds[name]], quick=quick)
        for name, text in parts.items()
        if text
    }


ROWS: dict[str, Callable[[Plan, str, str, int], Line]] = {
    "race": lambda plan, table, space, _: race(plan, table, space),
    "hyperband": lambda plan, table, space, _: hyperbands(plan, table, space),
    "choice": choice,
}
"""By kind of row, what makes one: of a plan, a table, a space and the row's number."""


def _with_notes(text: Sequence[str], lines: Sequence[Line], *, quick: bool) -> str:
    load = max(line["load"] for line in lines)
    versions: dict[str, str] = {}
    for line in lines:
        versions |= line["versions"]
    installed = ", ".join(f"{name} {found}" for name, found in sorted(versions.items()))
    whole = [
        _QUICK.format(_BUSY if load > 1 else "") if quick else "",
        *text,
        f"{machine()}; load at most {load:.1f} before the start; {installed}.",
    ]
    return "\n".join(whole).strip()


def main() -> None:
    """Run the rows that have no line yet, then write the page."""
    parser = argparse.ArgumentParser(description="Time caviar.tune beside KerasTuner and Optuna.")
    parser.add_argument("--quick", action="store_true", help="few rows, printed only")
    parser.add_argument("--write", action="store_true", help="write the page although it was quick")
    parser.add_argument("--only", choices=tuple(ROWS), help="run these rows only")
    parser.add_argument(
        "--tables", choices=tuple(TABLES), nargs="+", default=tuple(TABLES), help="run rows of these only"
    )
    parser.add_argument(
        "--page", action="store_true", help="run nothing, write the page from the rows there are"
    )
    parser.add_argument(
        "--lines", type=Path, default=Path("tuning-lines.jsonl"), help="where finished rows are kept"
    )
    asked = parser.parse_args()
    plan, load, began = QUICK if asked.quick else FULL, load_before(), time.monotonic()
    lines: list[Line] = []
    if asked.lines.exists():
        lines = [json.loads(line) for line in asked.lines.read_text(encoding="utf-8").splitlines()]
    lines = [line for line in lines if line["quick"] == asked.quick]
    done = {(line["kind"], line["table"], line["space"], line["place"]) for line in lines}
    for kind, table, space, place in plan.rows():
        if (kind, table, space, place) in done or asked.page or asked.only not in {None, kind}:
            continue
        if table not in asked.tables:
            continue
        print(f"{kind}: {table}, {space}, {place}", flush=True)
        try:
            found = ROWS[kind](plan, table, space, place)
        except NotAvailable as reason:
            raise SystemExit(
                f"Expected every contender to finish {kind} {table} {space}, got: {reason}"
            ) from reason
        named = {"kind": kind, "table": table, "space": space, "place": place, "quick": asked.quick}
        lines.append(named | {"load": load} | found)
        with asked.lines.open("a", encoding="utf-8") as file:
            file.write(json.dumps(lines[-1]) + "\n")
    for name, text in page(plan, lines, quick=asked.quick).items():
        print(text)
        if asked.write or not asked.quick:
            write(text, name, PAGE)
    print(f"Took {time.monotonic() - began:.0f} s.")


if __name__ == "__main__":
    main()
