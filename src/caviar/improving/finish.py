"""The final model: the chosen recipe trained on all rows, saved, and scored once on rows kept apart."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from caviar.data.dataset import Dataset
from caviar.evaluate.metrics import Metric
from caviar.measuring.networks import parameters_of
from caviar.measuring.whole import fit_all
from caviar.model.card import write_card
from caviar.model.finished import FinishedModel, finished_model
from caviar.population.job import Monitor
from caviar.population.keep import Keep
from caviar.recipe.recipe import BLENDED_WITH, Recipe
from caviar.run.folder import MODEL, RunFolder
from caviar.run.record import ArmRecord, FinalRecord, Record


@dataclass(frozen=True, eq=False)
class Kept:
    """Rows that took no part in anything and are scored once, at the end."""

    features: np.ndarray
    target: np.ndarray
    weight: np.ndarray | None


def finish(
    folder: RunFolder, record: Record, dataset: Dataset, recipe: Recipe, seed: int, monitor: Monitor
) -> tuple[FinishedModel, FinalRecord]:
    """Train the recipe on all rows and save what it gives.

    The score of the final model is that of its recipe on held-out folds: on the rows it was trained on, a
    model's own score says nothing.
    """
    whole = fit_all(dataset, recipe, seed, monitor, Keep(folder.training("final")))
    models, fitting = whole.models, whole.fitting
    arm = _arm_of(record, recipe.name)
    finished = finished_model(whole, dataset.schema, arm.threshold)
    files = finished.save(folder.path / MODEL)
    what = "one network" if len(models) == 1 else f"{len(models)} networks whose predictions are averaged"
    snapshots = len(fitting.snapshots(whole.trained))
    if snapshots > 1:
        what += f", {'' if len(models) == 1 else 'each '}the mean of {snapshots} snapshots of it"
    if recipe.blended_with:
        counts = "it counts" if len(models) == 1 else "together they count"
        others = " and as ".join(BLENDED_WITH[name] for name in recipe.blended_with)
        what += f"; {counts} as much as {others} beside {'it' if len(models) == 1 else 'them'}"
    held = "; 20 % of them only told it when to stop or slow down" if recipe.watches else ""
    sentence = f"The recipe '{recipe.title}' gave {what}, trained on all {dataset.n_rows:,} rows{held}."
    if arm.threshold is not None:
        sentence += (
            f" It predicts {dataset.schema.classes[1]} where the network's probability is above {arm.threshold:.2g}; "
            f"the probabilities it gives are moved such that this is one half."
        )
    final = FinalRecord(
        recipe=recipe.name,
        title=recipe.title,
        members=len(models),
        files=[f"{MODEL}/{name}" for name in files],
        rows=dataset.n_rows,
        scores=arm.scores,
        sentence=sentence,
    )
    write_card(folder.path / MODEL, record, final, parameters_of(whole.trained) * snapshots)
    final.files = sorted({*final.files, f"{MODEL}/README.md"})
    return finished, final


def score_kept(model: FinishedModel, kept: Kept, metrics: Sequence[Metric]) -> dict[str, float]:
    """Scores of the finished model on rows kept apart, by metric name."""
    said = model.predict_features(kept.features)
    return {metric.name: metric.score(kept.target, said, kept.weight) for metric in metrics}


def _arm_of(record: Record, name: str) -> ArmRecord:
    arms = [record.baseline, *(record.trial.arms if record.trial else [])]
    return next(arm for arm in arms if arm is not None and arm.name == name)
