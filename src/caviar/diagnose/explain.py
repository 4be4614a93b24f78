"""Which of the things that checks saw cost performance? Told by what changed when their causes were taken away."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from caviar.diagnose.contract import Check
from caviar.diagnose.diagnosis import AREAS, CHECKS, concluded
from caviar.diagnose.facts import DataFacts
from caviar.remedies.contract import Remedy
from caviar.run.record import ComparisonRecord, DiagnosisRecord, FindingRecord

_BY_CODE: dict[str, Check] = {check.code: check for check in CHECKS}
_STATIC = "SD"
"""First letters of checks that look at the model and the data, which name causes, not symptoms."""
STOPPING = "early-stopping"
"""The remedy that stops training in time."""
LONGER = "longer"
"""The remedy that trains for more epochs."""
TIED = 0.15
"""Share of the best gain that others may lack and still help about equally."""
TOO_SMALL = "capacity_too_small"
"""The fault that larger networks take away."""
_LARGER = {"width", "depth", "embedding"}
"""Families of remedies that change how many weights the network has."""


@dataclass(frozen=True)
class _Explanation:
    """A check whose fault a helping remedy takes away."""

    finding: FindingRecord
    remedy: Remedy
    gain: float

    @property
    def fault(self) -> str:
        """In one word: that of the check where it names a cause, else that of the remedy that helps."""
        check = _BY_CODE[self.finding.code]
        return check.fault if check.specific or not self.remedy.cures else self.remedy.cures

    @property
    def rank(self) -> tuple[bool, bool, bool]:
        """Lower explains better: a cause seen in the model or the data, and its own remedy, come first."""
        check = _BY_CODE[self.finding.code]
        return check.code[0] not in _STATIC, self.remedy.cures != check.fault, not check.specific


def candidates(diagnosis: DiagnosisRecord, remedies: Sequence[Remedy]) -> list[str]:
    """Remedies that would take away what was seen: the first of every check, then the second, and so on."""
    seen = [f for f in diagnosis.findings if f.outcome in {"found", "suspected"}]
    known = {remedy.name for remedy in remedies}
    longest = max((len(finding.remedies) for finding in seen), default=0)
    names = [f.remedies[i] for i in range(longest) for f in seen if i < len(f.remedies)]
    return [name for name in dict.fromkeys(names) if name in known]


def as_cures_of(
    remedies: Sequence[Remedy], optimizer: str, rate: float | None, data: DataFacts | None = None
) -> list[Remedy]:
    """The remedies, as what they take away from this model and its data.

    Those that set an optimizer of the class that the model has change its rate alone. Where inputs (or the target) are
    of a usual size already, scaling them anew may help, but not because they were not scaled.

    >>> from caviar.remedies.table import REMEDIES
    >>> sorted({one.cures for one in as_cures_of(REMEDIES, "Adam", 1e-5) if one.name in ("adam", "rmsprop")})
    ['learning_rate_low', 'optimizer']

    Args:
        remedies: All remedies.
        optimizer: Class of the model's optimizer.
        rate: Its learning rate; None where that is no number.
        data: What the model is given; None where that is not known.
    """
    scaled = set() if data is None else _scaled(data)

    def cures(remedy: Remedy) -> str:
        if remedy.cures in scaled:
            return ""
        kind, usual = remedy.optimizer or ("", 0.0)
        if kind != optimizer or rate is None:
            return remedy.cures
        return "learning_rate_low" if rate < usual else "learning_rate_high"

    return [replace(remedy, cures=cures(remedy)) for remedy in remedies]


def _scaled(data: DataFacts, *, smallest: float = 0.1, largest: float = 3.0, far: float = 10.0) -> set[str]:
    """Faults of scaling that these data cannot have.

    Args:
        data: Inputs and target as the network gets them.
        smallest: Root mean square from which on an input, or the target's deviation, is of a usual size; columns that
            were brought between 0 and 1 have 0.2 to 0.6.
        largest: The same from above.
        far: Distance from its median, in interquartile ranges, that no value of such an input exceeds.
    """
    sizes = np.hypot(data.centre, data.deviation)
    sizes = sizes[data.deviation > 0]
    inputs = (
        len(sizes)
        and smallest <= sizes.min()
        and sizes.max() <= largest
        and np.nanmax(data.extreme, initial=0.0) <= far
    )
    target = (
        smallest <= data.target_deviation and max(data.target_deviation, abs(data.target_centre)) <= largest
    )
    return {name for name, is_so in (("unscaled_input", inputs), ("unscaled_target", target)) if is_so}


def in_time(
    diagnosis: DiagnosisRecord,
    comparisons: Sequence[ComparisonRecord],
    remedies: Sequence[Remedy],
    fits: Callable[[str], bool],
) -> list[Remedy]:
    """Remedies to be tried once more, with training stopped in time: the best one of each cause that hides so.

    A network that learns what it could not before may also learn its rows by heart, within the same epochs. Where
    none of a cause's remedies helps, but some fit the training rows better, they may only be trained too long.

    Args:
        diagnosis: What the checks saw.
        comparisons: Each remedy tried beside the baseline.
        remedies: All remedies.
        fits: Whether a remedy, by name, fits the training rows better than the baseline.
    """
    by_name = {remedy.name: remedy for remedy in remedies}
    tried = {c.remedy: c for c in comparisons}
    found: dict[str, Remedy] = {}
    for finding in diagnosis.findings:
        seen = finding.outcome in {"found", "suspected"} and finding.code[0] in _STATIC
        answers = [tried[name] for name in finding.remedies if name in tried]
        if not seen or finding.area != "learning" or any(c.verdict == "helps" for c in answers):
            continue
        known = [c for c in answers if np.isfinite(c.difference.value) and fits(c.remedy)]
        if known:
            best = max(known, key=lambda c: c.difference.value)
            found.setdefault(best.remedy, by_name[best.remedy])
    return list(found.values())


def _gains_in_time(comparisons: Sequence[ComparisonRecord]) -> dict[str, float]:
    """By remedy, what it gains with training stopped in time, where that is surely more than stopping alone gains."""
    stopping = next((c for c in comparisons if c.remedy == STOPPING), None)
    if stopping is None:
        return {}
    gains = {}
    for one in comparisons:
        parts = one.remedy.split("+")
        more = one.verdict == "helps" and one.difference.low > stopping.difference.high
        if len(parts) == 2 and STOPPING in parts and more:
            gains[next(part for part in parts if part != STOPPING)] = one.difference.value
    return gains


def larger(remedies: Sequence[Remedy]) -> set[str]:
    """Names of remedies that help where the network is too small."""
    return {remedy.name for remedy in remedies if remedy.cures == TOO_SMALL}


def helps_as_larger(
    comparisons: Sequence[ComparisonRecord], remedies: Sequence[Remedy]
) -> list[ComparisonRecord]:
    """What may show that the network is too small: more units or layers, where they help or make seeds agree.

    Args:
        comparisons: Each remedy tried beside the baseline.
        remedies: All remedies.
    """
    names = larger(remedies)
    return [c for c in comparisons if c.remedy in names and (c.verdict == "helps" or c.steadier is not None)]


def large_enough(
    comparisons: Sequence[ComparisonRecord],
    remedies: Sequence[Remedy],
    fits_by: Callable[[str], float],
    rope: float,
    *,
    share: float = 0.5,
) -> set[str]:
    """Names of remedies that make the network larger, where it was large enough for what it was asked.

    A network is too small where a larger one fits the training rows better, by what counts as a difference, and
    nothing brings one of the same size there. Larger networks also learn faster: after few epochs they are ahead of
    a network that only needs more of them.

    Args:
        comparisons: Each remedy tried beside the baseline.
        remedies: All remedies.
        fits_by: By a remedy's name, how much better its training rows are scored than the baseline's.
        rope: Smallest difference that counts, in the score's unit.
        share: Of what the larger network gains on the training rows, what another remedy that helps must gain there:
            after 1/30 to 1/10 of the epochs, training three times as long gained 0.67 to 2.7 of it on three tables;
            with 1 to 4 units that are too few, 0.05 to 0.32.
    """
    family = {remedy.name: remedy.family for remedy in remedies}
    same = [
        c.remedy for c in comparisons if c.verdict == "helps" and family.get(c.remedy) not in {None, *_LARGER}
    ]
    most = max((gain for gain in map(fits_by, same) if np.isfinite(gain)), default=-np.inf)
    gains = {c.remedy: fits_by(c.remedy) for c in helps_as_larger(comparisons, remedies)}
    return {name for name, gain in gains.items() if not gain > rope or most >= share * gain}


def is_clear(
    diagnosis: DiagnosisRecord,
    comparisons: Sequence[ComparisonRecord],
    remedies: Sequence[Remedy],
    distance: float,
    *,
    enough: float = 0.5,
) -> bool:
    """Whether a cause seen in the model or the data already explains most of what is wrong.

    Args:
        diagnosis: What the checks saw.
        comparisons: Each remedy tried beside the baseline.
        remedies: All remedies.
        distance: From no skill to the best that anything reached.
        enough: Share of it that taking the cause away must bring.
    """
    by_name = {remedy.name: remedy for remedy in remedies}
    pairs = _pairs(diagnosis, comparisons, by_name)
    return any(not pair.rank[0] and pair.gain > enough * distance for pair in pairs)


def _pairs(
    diagnosis: DiagnosisRecord, comparisons: Sequence[ComparisonRecord], by_name: Mapping[str, Remedy]
) -> list[_Explanation]:
    """Everything that was seen with every remedy that answers it, helps, and would not help without it."""
    gains = {
        c.remedy: c.difference.value for c in comparisons if c.verdict == "helps" and c.remedy in by_name
    }
    for name, gain in _steadying(diagnosis, comparisons).items():
        gains[name] = max(gain, gains.get(name, 0.0))
    for name, gain in _gains_in_time(comparisons).items():
        if name in by_name and name not in gains:
            gains[name] = gain
            by_name = {
                **by_name,
                name: replace(by_name[name], title=f"{by_name[name].title}, stopped in time"),
            }
    seen = [f for f in diagnosis.findings if f.outcome in {"found", "suspected"}]
    return [
        _Explanation(f, by_name[name], gains[name])
        for f in seen
        for name in f.remedies
        if name in gains and by_name[name].explains
    ]


def _steadying(diagnosis: DiagnosisRecord, comparisons: Sequence[ComparisonRecord]) -> dict[str, float]:
    """By remedy, how much of the standard deviation due to the seed it takes away, where that is what is wrong."""
    seed = next((f for f in diagnosis.findings if f.code == "P01" and f.outcome == "found"), None)
    if seed is None:
        return {}
    size = seed.evidence.get("standard deviation due to the seed", 0.0)
    return {
        c.remedy: size * (1 - c.steadier)
        for c in comparisons
        if c.steadier is not None and c.verdict != "harms" and "+" not in c.remedy
    }


def explained(
    diagnosis: DiagnosisRecord,
    comparisons: Sequence[ComparisonRecord],
    remedies: Sequence[Remedy],
    *,
    unfit: Collection[str] = (),
    no_cause: Collection[str] = (),
    tied: float = TIED,
) -> DiagnosisRecord:
    """The diagnosis after the trial of the remedies it asked for.

    What a helping remedy takes away is found. Where several help about equally, the cause that was seen in the model
    or the data explains best. What is left unexplained stays found where it is bad in itself, and is harmless where
    all that answers it was tried and nothing helped.

    Args:
        diagnosis: What the checks saw.
        comparisons: Each remedy tried beside the baseline.
        remedies: All remedies.
        unfit: Remedies that had nothing to change here: there is no need to try them.
        no_cause: Remedies that may help, but what they take away is not what was wrong.
        tied: Share of the best gain that others may lack and still help about equally.
    """
    by_name = {remedy.name: remedy for remedy in remedies}
    pairs = [p for p in _pairs(diagnosis, comparisons, by_name) if p.remedy.name not in no_cause]
    gains = {pair.remedy.name: pair.gain for pair in pairs}
    main = _main(pairs, tied)
    causes = [main] if main else []
    if main:
        causes += _others(pairs, main, tied)
    told = {cause.finding.code: cause for cause in causes}
    # What explains nothing need not be tried to know that there was nothing; what looks better by less than can be told
    # was not shown to change nothing.
    decided = {c.remedy for c in comparisons if c.verdict != "not enough data" or not c.difference.value > 0}
    tried = decided | {one.name for one in remedies if not one.explains}
    findings = [_judged(f, told, gains, tried, unfit) for f in diagnosis.findings]
    if diagnosis.area == "no signal":
        return concluded(findings, signal=False)
    return concluded(findings)


def _main(pairs: Sequence[_Explanation], tied: float) -> _Explanation | None:
    # Averaging seeds helps whatever is wrong: it explains only where nothing else does.
    pairs = [pair for pair in pairs if pair.finding.area != "prediction"] or pairs
    if not pairs:
        return None
    best = max(pair.gain for pair in pairs)
    close = [pair for pair in pairs if pair.gain >= (1 - tied) * best]
    return min(close, key=lambda pair: (pair.rank, -pair.gain))


def _others(
    pairs: Sequence[_Explanation], main: _Explanation, tied: float, least: float = 0.3
) -> list[_Explanation]:
    """Further causes that were seen, and whose own remedies help too, though less than the main one.

    What was seen in the model or the data counts however little it brings; what was seen while training may be an
    effect of the main cause, and counts where taking it away brings at least this share of the best gain.
    """
    others: dict[str, _Explanation] = {}
    for pair in pairs:
        check = _BY_CODE[pair.finding.code]
        seen = pair.rank[0] is False or (check.specific and pair.gain >= least * main.gain)
        own = seen and pair.remedy.cures == pair.finding.fault
        less = pair.gain < (1 - tied) * main.gain and pair.remedy.family != main.remedy.family
        if own and less and pair.finding.area != "prediction" and pair.finding.fault != main.fault:
            others.setdefault(pair.finding.code, pair)
    return list(others.values())


def names_a_fault(diagnosis: DiagnosisRecord, remedy: Remedy) -> bool:
    """Whether a remedy answers something that was seen besides how much hangs on the seed.

    What answers that alone, such as averaging seeds, helps whatever is wrong, and explains where nothing else does.

    Args:
        diagnosis: What the checks saw.
        remedy: The remedy.
    """
    return any(
        finding.outcome in {"found", "suspected"}
        and finding.area != "prediction"
        and remedy.name in finding.remedies
        for finding in diagnosis.findings
    )


def may_be_beside(diagnosis: DiagnosisRecord, remedy: Remedy, main: Remedy) -> bool:
    """Whether a remedy may take away a further cause, though it gains clearly less than another one.

    Args:
        diagnosis: What the checks saw.
        remedy: The remedy.
        main: The other one, which helps.
    """
    return remedy.family != main.family and any(
        finding.outcome in {"found", "suspected"}
        and finding.area != "prediction"
        and (finding.code[0] in _STATIC or _BY_CODE[finding.code].specific)
        and remedy.name in finding.remedies
        and remedy.cures == finding.fault != main.cures
        for finding in diagnosis.findings
    )


def _judged(
    finding: FindingRecord,
    told: Mapping[str, _Explanation],
    gains: Mapping[str, float],
    tried: set[str],
    unfit: Collection[str],
) -> FindingRecord:
    """One finding after the trial."""
    if finding.outcome not in {"found", "suspected"}:
        return finding
    if finding.code in told:
        cause = told[finding.code]
        sentence = f"{finding.sentence} Taking it away ({cause.remedy.title}) helps."
        fitting = [name for name in finding.remedies if name not in unfit]
        return finding.model_copy(
            update={
                "outcome": "found",
                "fault": cause.fault,
                "sentence": sentence,
                "remedies": sorted(fitting, key=lambda name: -gains.get(name, -1e300)),
            }
        )
    evident = _BY_CODE[finding.code].evident
    first = min((AREAS.index(cause.finding.area) for cause in told.values()), default=len(AREAS))
    # What no remedy takes away, such as a step that climbs, is no effect of what one did.
    if evident and (AREAS.index(finding.area) < first or not finding.remedies):
        return finding
    # Beside a cause that was found, a symptom may be its effect: the next look, after the remedy, will tell.
    # Harmless is only what was taken away, in every way there is, without effect.
    fitting = [name for name in finding.remedies if name not in unfit]
    all_tried = bool(fitting) and all(name in tried for name in fitting)
    return finding.model_copy(update={"outcome": "harmless" if all_tried and not evident else "suspected"})
