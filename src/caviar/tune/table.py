"""All searches, in the order in which they are offered."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from caviar.errors import OptionError
from caviar.tune.coarse import coarse_to_fine_search
from caviar.tune.draws import random_search
from caviar.tune.grid import grid_search
from caviar.tune.halving import halving_search, hyperband_search
from caviar.tune.optuna_searches import cma_es_search, gaussian_process_search, nsga_search, tpe_search
from caviar.tune.population_based import population_based_search
from caviar.tune.quasi import quasi_random_search
from caviar.tune.search import Search


@dataclass(frozen=True)
class Method:
    """A way of searching.

    Attributes:
        name: For files and the command line.
        title: For people.
        what: What it does, in a sentence.
        source: Where the idea comes from.
        make: Makes the search from space, trials, seed and start, in this order; some take more, each with a default.
        many_objectives: Whether it takes `objectives`, and weighs as many scores; the others look at the first one.
        parts: Whether candidates are trained in parts, of which the best "go on", or even "change" on the way; empty
            where each is trained to its end.
        refines: Whether its last trials may go to batch size and rate once more, around the best.
        asks_optuna: Whether Optuna's samplers are asked: then its trials are kept as a study of Optuna's, too.
        over_folds: Whether what grows is the number of `folds`, which it then takes.
    """

    name: str
    title: str
    what: str
    source: str
    make: Callable[..., Search]
    many_objectives: bool = False
    parts: Literal["", "go on", "change"] = ""
    refines: bool = True
    asks_optuna: bool = False
    over_folds: bool = False


SEARCHES: tuple[Method, ...] = (
    Method(
        name="random",
        title="Random search",
        what="Draws settings independently, on each parameter's scale, none twice.",
        source="Bergstra & Bengio (2012), Random search for hyper-parameter optimization",
        make=random_search,
    ),
    Method(
        name="grid",
        title="Grid search",
        what="Tries every combination of evenly spread values, as many as the trials allow.",
        source="KerasTuner's GridSearch",
        make=grid_search,
        refines=False,
    ),
    Method(
        name="quasi",
        title="Quasi-random search",
        what="Takes settings from a scrambled Sobol sequence, which leaves smaller holes than chance.",
        source="Bousquet et al. (2017), Critical hyper-parameters: no random, no cry",
        make=quasi_random_search,
    ),
    Method(
        name="coarse",
        title="Coarse-to-fine search",
        what="Draws at random on three levels, each inside the region of the best so far.",
        source="Bengio (2012), Practical recommendations for gradient-based training of deep architectures",
        make=coarse_to_fine_search,
    ),
    Method(
        name="tpe",
        title="Tree-structured Parzen estimator",
        what="Asks where good settings are dense and bad ones are not, generation after generation.",
        source="Bergstra et al. (2011), Algorithms for hyper-parameter optimization",
        make=tpe_search,
        asks_optuna=True,
        many_objectives=True,
    ),
    Method(
        name="gp",
        title="Bayesian optimisation",
        what="Fits a Gaussian process to the scores, and asks where it promises most improvement.",
        source="Snoek et al. (2012), Practical Bayesian optimization of machine learning algorithms",
        make=gaussian_process_search,
        asks_optuna=True,
        many_objectives=True,
    ),
    Method(
        name="cma",
        title="CMA-ES",
        what="Draws each generation from a normal distribution that moves and stretches towards the best.",
        source="Hansen (2016), The CMA evolution strategy: a tutorial",
        make=cma_es_search,
        asks_optuna=True,
    ),
    Method(
        name="nsga",
        title="NSGA-II",
        what="Crosses and mutates the settings that no others beat in every score.",
        source="Deb et al. (2002), A fast and elitist multiobjective genetic algorithm: NSGA-II",
        make=nsga_search,
        asks_optuna=True,
        many_objectives=True,
    ),
    Method(
        name="halving",
        title="Successive halving",
        what="Gives all settings a ninth of the epochs, the best third of them three times as much, and so on.",
        source="Jamieson & Talwalkar (2016), Non-stochastic best arm identification and hyperparameter optimization",
        make=halving_search,
        parts="go on",
        refines=False,
    ),
    Method(
        name="halving-folds",
        title="Successive halving over folds",
        what="The same with folds: all settings are scored on one, the best third of them on three times as many.",
        source="Jamieson & Talwalkar (2016), Non-stochastic best arm identification and hyperparameter optimization",
        make=partial(halving_search, over="folds"),
        parts="go on",
        refines=False,
        over_folds=True,
    ),
    Method(
        name="hyperband",
        title="Hyperband",
        what="Runs several schedules of successive halving side by side, from many short trainings to few whole ones.",
        source="Li et al. (2018), Hyperband: a novel bandit-based approach to hyperparameter optimization",
        make=hyperband_search,
        parts="go on",
        refines=False,
    ),
    Method(
        name="hyperband-folds",
        title="Hyperband over folds",
        what="The same with folds in place of epochs.",
        source="Li et al. (2018), Hyperband: a novel bandit-based approach to hyperparameter optimization",
        make=partial(hyperband_search, over="folds"),
        parts="go on",
        refines=False,
        over_folds=True,
    ),
    Method(
        name="pbt",
        title="Population-based training",
        what="Trains all settings in four parts; after each the worst go on as changed copies of the best.",
        source="Jaderberg et al. (2017), Population based training of neural networks",
        make=population_based_search,
        parts="change",
        refines=False,
    ),
)


def search_named(name: str) -> Method:
    """The way of searching of that name.

    >>> search_named("grid").title
    'Grid search'

    Raises:
        OptionError: There is none.
    """
    for method in SEARCHES:
        if method.name == name:
            return method
    raise OptionError(
        f"Expected a search out of {', '.join(one.name for one in SEARCHES)}, got {name!r}. Choose one of them."
    )
