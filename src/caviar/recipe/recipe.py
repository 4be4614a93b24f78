"""A recipe: everything that decides how a model is trained, as one value that can be changed and compared."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import keras

from caviar.data.prepare import PreparationPlan
from caviar.population.template import Build, call_builder
from caviar.recipe.builder import Builder, call_with
from caviar.recipe.callbacks import reads_logs
from caviar.recipe.mixup import mixing

Rewrite = Callable[[keras.Model], keras.Model]

BLENDED_WITH = {"linear": "a linear model", "boosting": "boosted trees"}
"""What is no network and may predict beside one, in words."""


@dataclass(frozen=True)
class Stage:
    """What a training began with, before its settings were changed on the way.

    Attributes:
        recipe: What was trained with.
        until: The last epoch of that.
    """

    recipe: "Recipe"
    until: int


@dataclass(frozen=True)
class Recipe:
    """What a person would give `compile` and `fit`, and how the table is prepared.

    Attributes:
        name: Short, for files and the command line.
        title: For people.
        builder: Takes `hp`, `n_inputs`, `n_outputs` or nothing and returns a compiled model.
        batch_size: Rows per gradient step.
        epochs: Most passes over the training rows.
        preparation: How the table becomes numbers.
        callbacks: Keras callbacks.
        shuffle: Whether each epoch takes the training rows in a new order.
        rewrites: Changes to the built model, in order.
        ensemble: How many seeds are averaged.
        bootstrap: Whether each of them trains on rows that are drawn anew, with replacement.
        changes: What differs from the baseline, name → words.
        task: What is predicted; empty where it is not known.
        n_outputs: Outputs that a network for this task needs.
        n_rows: Rows of the table; 0 where that is not known.
        given: Whether the loss sees the target as a person gave it, because it does not fit the model.
        class_weights: Whether training rows count the less, the more frequent their class is.
        class_costs: How much a training row of each class counts, beside others; empty for the same.
        class_factors: What training rows of a class count, by its number, as `class_weight` in `fit`; 1 for others.
        class_errors: Share of the held-out rows of each class that were predicted wrong when the recipe was measured;
            empty where it was not, or for quantities.
        tunes_threshold: Whether the probability from which on class 1 is predicted is tuned.
        mixup: Parameter of the beta distribution by which training rows are mixed in pairs; 0 for not at all.
        lowest_target: Lowest value of a quantity to predict; None for classes, or where it is not known.
        tested_rate: The learning rate that a range test prefers to the recipe's own; None where there is none.
        stages: What it was trained with before, in order; this recipe is what counts from the last of them on.
        snapshot_every: Epochs after each of which the network as it then is joins an ensemble; 0 for the last one
            alone.
        blended_with: Which of `BLENDED_WITH` predict along: predictions are the mean.
        hyperparameters: The settings that a search made it of, by name; empty for a recipe that no search made.
        writers: Names of callbacks that were left out because they only write files.
        is_validated: Whether validation rows were given, of which a person's own callbacks expect logs.
    """

    name: str
    title: str
    builder: Builder
    batch_size: int
    epochs: int
    preparation: PreparationPlan
    callbacks: tuple[keras.callbacks.Callback, ...] = ()
    shuffle: bool = True
    rewrites: tuple[Rewrite, ...] = ()
    ensemble: int = 1
    bootstrap: bool = False
    changes: tuple[tuple[str, str], ...] = ()
    task: str = ""
    n_outputs: int = 1
    n_rows: int = 0
    given: bool = False
    class_weights: bool = False
    class_costs: tuple[float, ...] = ()
    class_factors: tuple[tuple[int, float], ...] = ()
    class_errors: tuple[float, ...] = ()
    tunes_threshold: bool = False
    mixup: float = 0.0
    lowest_target: float | None = None
    tested_rate: float | None = None
    stages: tuple[Stage, ...] = ()
    snapshot_every: int = 0
    blended_with: tuple[str, ...] = ()
    hyperparameters: Mapping[str, Any] = field(default_factory=dict, hash=False)
    writers: tuple[str, ...] = ()
    is_validated: bool = False

    def build(self, n_inputs: int, n_outputs: int) -> Build:
        """A function of nothing that returns the compiled model of this recipe."""

        def build() -> keras.Model:
            model = call_builder(lambda: call_with(self.builder, n_inputs, n_outputs))
            if (self.rewrites or self.mixup) and isinstance(model, keras.Sequential) and not model.built:
                model.build((None, n_inputs))  # it declares no input, and only a built model can be rewritten
            for rewrite in self.rewrites:
                model = rewrite(model)
            return mixing(model, self.mixup) if self.mixup else model  # last: rewriting makes new models

        return build

    @property
    def watches(self) -> bool:
        """Whether a callback looks at validation logs, so that it needs rows of its own."""
        return any(
            str(getattr(one, "monitor", "")).startswith("val_") or (self.is_validated and reads_logs(one))
            for one in self.callbacks
        )

    @property
    def weighs_classes(self) -> bool:
        """Whether training rows count by their class."""
        return bool(self.class_weights or self.class_costs or self.class_factors)

    @property
    def parts(self) -> int:
        """In how many parts it is trained, each a program of its own."""
        last = math.ceil(self.epochs / self.snapshot_every) if self.snapshot_every else 1
        return len(self.stages) + last

    def changed(self, what: tuple[str, str], **fields: Any) -> "Recipe":  # noqa: ANN401
        """A copy with some fields replaced and the change noted in words."""
        return replace(self, changes=(*self.changes, what), **fields)
