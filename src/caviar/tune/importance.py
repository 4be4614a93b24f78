"""Which settings did the good trials have in common? How much each one counts for being among the best."""

import warnings
from collections.abc import Sequence

from caviar.tune.quiet import quiet
from caviar.tune.search import Outcome
from caviar.tune.space import Space

FEWEST = 20
"""Trials below which nothing is said."""
BEST = 0.1
"""Share of the trials that count as good."""


def importances(outcomes: Sequence[Outcome], space: Space) -> dict[str, float]:
    """How far each setting's distribution among the best tenth differs from that among all trials, as shares of 1.

    Only settings that all trials have are compared. Chance gives small shares too: of few trials they mean little.

    Args:
        outcomes: Trials as their search was told of them; those that failed are left out.
        space: What was searched.

    Returns:
        Shares by name, the largest first; empty of fewer than 20 trials, or fewer than two such settings.

    Source: Watanabe et al. (2023), "PED-ANOVA: efficiently quantifying hyperparameter importance in arbitrary
    subspaces"; Optuna's evaluator.

    >>> from caviar.tune.space import discover
    >>> space = discover(lambda hp: (hp.Float("matters", 0.0, 1.0), hp.Float("does_not", 0.0, 1.0)))
    >>> import random
    >>> draw = random.Random(0).random
    >>> settings = [{"matters": draw(), "does_not": draw()} for _ in range(200)]
    >>> told = [Outcome(i, one, (abs(one["matters"] - 0.3),)) for i, one in enumerate(settings)]
    >>> found = importances(told, space)
    >>> list(found)[0], found["matters"] > 0.9
    ('matters', True)
    """
    known = [one for one in outcomes if not one.failed]
    shared = [
        one for one in space.parameters if one.is_searched and all(one.name in t.settings for t in known)
    ]
    if len(known) < FEWEST or len(shared) < 2:
        return {}
    import optuna
    from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

    axes: dict[str, BaseDistribution] = {
        one.name: FloatDistribution(0.0, 1.0)
        if one.is_numeric
        else CategoricalDistribution(list(one.points or ()))
        for one in shared
    }
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # the evaluator is marked so
        study = optuna.create_study()
        study.add_trials(
            [
                optuna.create_trial(
                    params={
                        one.name: one.place(told.settings[one.name])
                        if one.is_numeric
                        else told.settings[one.name]
                        for one in shared
                    },
                    distributions=axes,
                    value=told.score[0],
                )
                for told in known
            ]
        )
        evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=BEST)
        found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: float(share) for name, share in found.items()}
