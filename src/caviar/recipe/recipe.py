"""A recipe: everything that decides how a model is trained, as one value that can be changed and compared."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import keras

from caviar.data.prepare import PreparationPlan
from caviar.population.template import Build, call_builder
from caviar.recipe.builder import Builder, call_with

Rewrite = Callable[[keras.Model], keras.Model]


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
        rewrites: Changes to the built model, in order.
        ensemble: How many seeds are averaged.
        changes: What differs from the baseline, name → words.
        task: What is predicted; empty where it is not known.
        n_outputs: Outputs that a network for this task needs.
        given: Whether the loss sees the target as a person gave it, because it does not fit the model.
        tested_rate: The learning rate that a range test prefers to the recipe's own; None where there is none.
    """

    name: str
    title: str
    builder: Builder
    batch_size: int
    epochs: int
    preparation: PreparationPlan
    callbacks: tuple[keras.callbacks.Callback, ...] = ()
    rewrites: tuple[Rewrite, ...] = ()
    ensemble: int = 1
    changes: tuple[tuple[str, str], ...] = ()
    task: str = ""
    n_outputs: int = 1
    given: bool = False
    tested_rate: float | None = None

    def build(self, n_inputs: int, n_outputs: int) -> Build:
        """A function of nothing that returns the compiled model of this recipe."""

        def build() -> keras.Model:
            model = call_builder(lambda: call_with(self.builder, n_inputs, n_outputs))
            if self.rewrites and isinstance(model, keras.Sequential) and not model.built:
                model.build((None, n_inputs))  # it declares no input, and only a built model can be rewritten
            for rewrite in self.rewrites:
                model = rewrite(model)
            return model

        return build

    @property
    def watches(self) -> bool:
        """Whether a callback looks at validation logs, so that it needs rows of its own."""
        return any(str(getattr(c, "monitor", "")).startswith("val_") for c in self.callbacks)

    def changed(self, what: tuple[str, str], **fields: Any) -> "Recipe":  # noqa: ANN401
        """A copy with some fields replaced and the change noted in words."""
        return replace(self, changes=(*self.changes, what), **fields)
