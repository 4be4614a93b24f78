"""What a person lets a search set: the builder, and fit arguments that may be functions of `hp`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras

from caviar.errors import CaviarError, ModelError
from caviar.population.job import MOST_EPOCHS
from caviar.population.template import call_builder, sketching
from caviar.recipe.builder import Builder, build_of, call_with
from caviar.recipe.callbacks import read_callbacks, without_writers
from caviar.recipe.class_weights import check_class_weight
from caviar.recipe.hypermodel import passed_on
from caviar.recipe.hyperparameters import HyperParameters
from caviar.recipe.recipe import Recipe, Stage

OfHp = Callable[[HyperParameters], Any]
FIT_ARGUMENTS = ("batch_size", "epochs", "callbacks", "preparation", "balanced", "shuffle", "class_weight")
"""What `Searched` knows beside the builder."""
_BATCH_SIZE = 32  # what Keras' fit means by None
_PASSED = ("batch_size", "epochs", "callbacks", "shuffle", "class_weight")
"""What of it a `HyperModel` gets."""
SCALINGS = ("none", "standard", "robust", "quantile", "power")
"""What `preparation` may be."""


@dataclass(frozen=True, eq=False)
class Searched:
    """A builder and fit arguments with open ends.

    Attributes:
        builder: Takes `hp`, `n_inputs`, `n_outputs`, or some of them; or a KerasTuner `HyperModel`.
        batch_size: Rows per gradient step, or a function of `hp`.
        epochs: Passes over the training rows, or a function of `hp`.
        callbacks: Keras callbacks, or a function of `hp`.
        preparation: How numeric inputs are scaled, one of `SCALINGS`, or a function of `hp`; None: as it is.
        balanced: Whether classes count the same, or a function of `hp`.
        shuffle: Whether each epoch takes the rows in a new order, or a function of `hp`.
        class_weight: What a training row counts by its class, as in `fit`, or a function of `hp`.
        rows: Which of `ROWS` a `HyperModel` gets.
    """

    builder: Any
    batch_size: int | OfHp
    epochs: int | OfHp
    callbacks: Any = ()
    preparation: str | OfHp | None = None
    balanced: bool | OfHp = False
    shuffle: bool | OfHp = True
    class_weight: Mapping[int, float] | OfHp | None = None
    rows: tuple[str, ...] = ()

    def ask(self, hp: HyperParameters, n_inputs: int, n_outputs: int) -> None:
        """Ask `hp` for everything, as one trial would."""
        with sketching():  # asked over and over, and each first value is a program
            call_with(self.build, n_inputs, n_outputs, hp)
        self._arguments(hp)

    @property
    def trains(self) -> bool:
        """Whether the builder says itself how it is trained."""
        return self.build is not self.builder and callable(getattr(self.builder, "fit", None))

    @property
    def build(self) -> Builder:
        """The function that builds."""
        found: Builder = build_of(self.builder)
        return found

    def recipe(
        self,
        base: Recipe,
        settings: Mapping[str, Any],
        name: str,
        n_inputs: int,
        stages: Sequence[tuple[Mapping[str, Any], int]] = (),
    ) -> Recipe:
        """The recipe of some settings, and of those that it trains with before.

        Args:
            base: What is known of table and task.
            settings: Answers by name.
            name: What it is called.
            n_inputs: Columns that a network sees.
            stages: Settings that it trains with before, each up to its epoch.

        Raises:
            ModelError: A function of `hp` gives something that cannot be.
        """

        def builder(n_inputs: int, n_outputs: int) -> keras.Model:
            model: keras.Model = call_with(self.build, n_inputs, n_outputs, HyperParameters(dict(settings)))
            return model

        hp = HyperParameters(dict(settings))
        if self.trains:  # it may ask for what depends on what its build has asked
            with sketching():
                call_builder(lambda: call_with(self.build, n_inputs, base.n_outputs, hp))
        given = self._arguments(hp)
        if given["class_weight"] and base.task not in {"binary", "multiclass"}:
            raise ModelError(
                f"Expected class_weight for a target of classes, got one of {base.task}. Leave it out, or say "
                f"task='classification'."
            )
        plan = base.preparation
        if given["preparation"] is not None:
            plan = plan.model_copy(update={"scaling": given["preparation"]})
        callbacks, writers = without_writers(read_callbacks(given["callbacks"]))
        return replace(
            base,
            name=name,
            title=name,
            builder=builder,
            batch_size=given["batch_size"],
            epochs=given["epochs"],
            callbacks=callbacks,
            preparation=plan,
            class_weights=given["balanced"],
            shuffle=given["shuffle"],
            class_factors=tuple(sorted((given["class_weight"] or {}).items())),
            stages=tuple(
                Stage(self.recipe(base, earlier, name, n_inputs), until) for earlier, until in stages
            ),
            hyperparameters=dict(settings),
            writers=writers,
            is_validated=any(name.startswith("validation") for name in self.rows),
        )

    def _arguments(self, hp: HyperParameters) -> dict[str, Any]:
        given = {name: getattr(self, name) for name in FIT_ARGUMENTS}
        given = {name: _told(name, value, hp) if callable(value) else value for name, value in given.items()}
        given["callbacks"] = read_callbacks(given["callbacks"])
        if given["batch_size"] is None:
            given["batch_size"] = _BATCH_SIZE
        if self.trains:
            own = {name: given[name] for name in _PASSED}
            given |= passed_on(self.builder, hp, {**own, "callbacks": list(own["callbacks"])}, self.rows)
        for name in ("batch_size", "epochs"):
            value = given[name]
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ModelError(
                    f"Expected {name} to be a whole number of at least 1, got {value!r}. Correct it, or the function "
                    f"of hp that gives it."
                )
        if given["epochs"] > MOST_EPOCHS:
            raise ModelError(
                f"Expected epochs to be at most {MOST_EPOCHS:,}, got {given['epochs']:,}. Choose a smaller number."
            )
        if not isinstance(given["shuffle"], bool):
            raise ModelError(
                f"Expected shuffle to be True or False, got {given['shuffle']!r}. Correct it, or the function of hp "
                f"that gives it."
            )
        check_class_weight(given["class_weight"])
        if given["class_weight"] and given["balanced"]:
            raise ModelError("Expected balanced or class_weight, got both. Leave one of them out.")
        if given["preparation"] is not None and given["preparation"] not in SCALINGS:
            raise ModelError(
                f"Expected preparation to be one of {', '.join(SCALINGS)}, got {given['preparation']!r}. "
                f"Choose one of them."
            )
        return given


def _told(name: str, of_hp: OfHp, hp: HyperParameters) -> Any:  # noqa: ANN401
    """What a function of `hp` gives."""
    try:
        return of_hp(hp)
    except CaviarError:
        raise
    except Exception as error:  # anybody's code
        raise ModelError(
            f"Expected the function of hp that gives {name} to give it, but it raised {type(error).__name__}: {error}. "
            f"Correct it."
        ) from error
