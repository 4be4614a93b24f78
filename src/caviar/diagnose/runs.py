"""What do single trainings show that their mean hides?"""

import numpy as np
from scipy import stats

from caviar.diagnose.contract import Check, Clear, Found, NotApplicable, Outcome
from caviar.diagnose.evidence import Evidence
from caviar.evaluate.intervals import proportion_estimate


def several_attractors(
    evidence: Evidence, *, far: float = 0.25, apart: float = 3.0, fewest: int = 2
) -> Outcome:
    """Scores are a mixture of good and failed trainings, with a gap between them.

    Args:
        evidence: What was measured.
        far: Share of the distance from no skill by which a training must lie behind the median to count as failed.
        apart: The gap between good and failed ones, in standard deviations of the good ones: one of a thousand
            normal values lies further than that from all others of ten.
        fewest: Failed trainings that make a second kind; one may be an accident.
    """
    if evidence.each is None:
        return NotApplicable("only one seed was trained per fold")
    good = evidence.better_by(evidence.each.ravel(), 0.0)
    known = np.isfinite(good)
    if known.sum() < 5:
        return NotApplicable("too few trainings ended with finite scores")
    middle = float(np.median(good[known]))
    failed = ~known | (good < middle - far * evidence.distance)
    count = int(failed.sum())
    rate = proportion_estimate(count, len(failed))
    numbers = {"trainings": float(len(failed)), "failed": float(count)}
    sentence = (
        f"{count} of {len(failed)} trainings end more than {far:.0%} of the distance from no skill behind the median "
        f"({rate.low:.0%} to {rate.high:.0%} would, in the long run)."
    )
    if count >= fewest and rate.value < 0.5:
        worst, best = good[~failed].min(), good[failed & known].max(initial=-np.inf)
        if worst - best > apart * good[~failed].std(ddof=1):
            return Found(sentence, float(rate.value), rate, numbers)
    return Clear(sentence, numbers)


def stops_by_chance(evidence: Evidence, *, spread: float = 0.25, p: float = 0.01) -> Outcome:
    """On the same rows trainings stop after very different numbers of epochs, and that decides their score.

    Args:
        evidence: What was measured.
        spread: Standard deviation of the epochs within a fold, as a share of their mean.
        p: Of the F test that scores within folds have nothing to do with the epochs. (Prechelt, 1998, on how noisy
            early stopping is)
    """
    if evidence.stops is None or evidence.seed_scores is None:
        return NotApplicable("no training stopped early, or one seed was trained per fold")
    scores = np.where(np.isfinite(evidence.seed_scores), evidence.seed_scores, np.nan)
    known = np.isfinite(scores).all(axis=1)
    folds, seeds = int(known.sum()), scores.shape[1]
    if folds * (seeds - 1) < 4:
        return NotApplicable("too few trainings ended with finite scores")
    stops, scores = evidence.stops[known].astype(float), scores[known]
    epochs = stops - stops.mean(axis=1, keepdims=True)
    moved = scores - scores.mean(axis=1, keepdims=True)
    free = folds * (seeds - 1)
    relative = float(np.sqrt((epochs**2).sum() / free) / stops.mean())
    explained = float((epochs * moved).sum() ** 2 / max((epochs**2).sum() * (moved**2).sum(), 1e-300))
    chance = float(stats.f.sf(explained * (free - 1) / max(1 - explained, 1e-12), 1, free - 1))
    seed = float(np.sqrt((moved**2).sum() / free))
    numbers = {
        "epochs until the stop": float(stops.mean()),
        "their spread within a fold, as a share": relative,
        "share of the score's variance between seeds that goes with it": explained,
        "p": chance,
    }
    sentence = (
        f"Trainings stop after {stops.mean():.0f} epochs on average, with a spread of {relative:.0%} on the same rows; "
        f"{explained:.0%} of what the seed does to {evidence.metric} goes with it (p {chance:.2g})."
    )
    if relative > spread and chance < p:
        moving = float(np.clip(np.sqrt(explained) * seed / evidence.distance, 0, 1))
        return Found(sentence, max(moving, 1e-6), None, numbers)
    return Clear(sentence, numbers)


def depends_on_the_rows(evidence: Evidence, *, share: float = 0.8, size: float = 0.1) -> Outcome:
    """Nearly all of the score's spread is due to which rows train and which are held out, and it is large.

    Args:
        evidence: What was measured.
        share: Of the variance of a score, what is due to the split and not to the seed.
        size: The split's standard deviation must surely exceed this share of the distance from no skill, five times
            what counts as a practical difference in a trial.
    """
    if evidence.spread is None:
        return NotApplicable("only one seed was trained per fold")
    split, seed = evidence.spread.split, evidence.spread.seed
    if not np.isfinite([split.value, seed.value]).all():
        return NotApplicable("too few trainings ended with finite scores")
    whole = split.value**2 + seed.value**2
    part = split.value**2 / whole if whole > 0 else 0.0
    numbers = {
        "share of the variance due to rows": part,
        "standard deviation due to rows": split.value,
        "standard deviation due to the seed": seed.value,
    }
    sentence = (
        f"{part:.0%} of the variance of {evidence.metric} is due to which rows train and which are held out (standard "
        f"deviation {split.value:.3g}), the rest to the seed ({seed.value:.3g})."
    )
    if part > share and split.low > max(evidence.rope, size * evidence.distance):
        return Found(sentence, float(np.clip(split.value / evidence.distance, 0, 1)), None, numbers)
    return Clear(sentence, numbers)


RUNS = (
    Check(
        "P02",
        "Some trainings fail",
        "prediction",
        "seed_variance",
        several_attractors,
        why="A mean over good and failed trainings describes neither; which one is handed over is luck.",
        specific=False,
    ),
    Check(
        "P03",
        "When training stops is luck",
        "prediction",
        "seed_variance",
        stops_by_chance,
        why="The stop then adds noise of its own to the result.",
        specific=False,
    ),
    Check(
        "P04",
        "The result depends on the rows",
        "prediction",
        "undersampled_signal",
        depends_on_the_rows,
        why="More seeds do not help then, but more rows do, and more repeats tell differences apart.",
        by_hand="Collect more rows, above all of the kinds that are rare. Until then repeat the "
        "cross-validation more often: `caviar stability` says how many repeats suffice.",
    ),
)
