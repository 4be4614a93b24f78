"""Where can a search begin? At settings that won elsewhere: each way of giving them, made the settings of a space."""

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caviar.errors import OptionError, RunError
from caviar.evaluate.metrics import metric_named
from caviar.model.finished import load_networks
from caviar.population.template import sketch
from caviar.recipe.recipe import Recipe
from caviar.recipe.table_settings import Said, table_settings
from caviar.run.folder import MODEL, RECORD, RunFolder
from caviar.run.study import StudyFolder
from caviar.tune.space import Space


@dataclass(frozen=True)
class Start:
    """Settings that won elsewhere.

    Attributes:
        what: What a person gave, in words.
        settings: Those of them that the space knows.
        unsaid: What was left out, and why.
        source: Full path of the folder they came from; empty where they came from none.
    """

    what: str
    settings: dict[str, Any]
    unsaid: tuple[str, ...] = ()
    source: str = ""

    @property
    def sentence(self) -> str:
        """What was left out, for people; empty where nothing was."""
        if not self.unsaid:
            return ""
        return f"The search begins with the settings of {self.what} without {', '.join(self.unsaid)}."


def starts(
    given: Any,  # noqa: ANN401 - one of the ways, or several of them
    space: Space,
    n_inputs: int,
    n_outputs: int,
    known: Mapping[str, dict[str, Any]],
) -> list[Start]:
    """Settings to begin with, of all that a person named.

    Args:
        given: One or several of: settings by name; what a search returned, or its folder; what `caviar improve` or a
            treatment returned, or the run's folder; a recipe; `HyperParameters`, KerasTuner's too.
        space: What may be set. A network is told in the words of the space for tables.
        n_inputs: Columns that a network sees.
        n_outputs: Numbers that it gives.
        known: By folder, the settings that were read when this very search began: it goes on with them.

    Raises:
        OptionError: Something else was given, or none of its settings is known to the space.
        RunError: A folder cannot be read.
    """
    several = isinstance(given, Sequence) and not isinstance(given, str)
    found = []
    for one in given if several else [given]:
        if isinstance(one, (str, Path)) and (source := str(Path(one).expanduser().resolve())) in known:
            found.append(Start(str(one), dict(known[source]), source=source))
        else:
            found.append(_fitted(one, space, n_inputs, n_outputs))
    return found


def _fitted(one: Any, space: Space, n_inputs: int, n_outputs: int) -> Start:  # noqa: ANN401
    """What one way of giving settings comes to in a space."""
    said, what, source = _said(one, n_inputs, n_outputs)
    kept: dict[str, Any] = {}
    unsaid = list(said.unsaid)
    by_hand = isinstance(one, Mapping)
    parameters = {parameter.name: parameter for parameter in space.parameters}
    for name, value in said.settings.items():
        if name not in parameters:
            unsaid.append(f"{name} (nobody asks for it)")
            continue
        try:
            kept[name] = parameters[name].accept(value)
        except OptionError:
            if by_hand:
                raise
            unsaid.append(f"{name} ({value} is not among its values)")
    if not kept:
        left = f"only {', '.join(unsaid)}" if unsaid else "none"
        raise OptionError(
            f"Expected settings of {', '.join(space.names)} in {what}, got {left}. Begin with others."
        )
    counts = space.settle(kept)
    unsaid += [f"{name} (it does not count beside the others)" for name in kept if name not in counts]
    return Start(what, counts, tuple(unsaid), source)


def _said(one: Any, n_inputs: int, n_outputs: int) -> tuple[Said, str, str]:  # noqa: ANN401
    """Settings as they were, what they are called, and the folder they come from."""
    if isinstance(one, Mapping):
        return Said(dict(one)), str(dict(one)), ""
    if isinstance(one, (str, Path)):
        path = Path(one).expanduser()
        return _of_folder(path), str(one), str(path.resolve())
    recipe = getattr(one, "recipe", one)  # a treatment has one
    if isinstance(recipe, Recipe):
        return _of_recipe(recipe, n_inputs, n_outputs), f"the recipe {recipe.name}", ""
    settings = getattr(one, "hyperparameters", None)
    if isinstance(settings, Mapping):  # what a search returned
        return Said(dict(settings)), f"the search in {getattr(one, 'path', 'memory')}", ""
    values = getattr(one, "values", None)
    if isinstance(values, Mapping):
        return Said(dict(values)), f"the {type(one).__name__} given", ""
    if isinstance(getattr(one, "path", None), Path):  # what `caviar improve` returned
        return _of_folder(one.path), str(one.path), str(one.path.resolve())
    raise OptionError(
        f"Expected settings to start from as a dict, HyperParameters, a result or its folder, got "
        f"{type(one).__name__}. Give one of these."
    )


def _of_folder(path: Path) -> Said:
    folder = StudyFolder(path)
    plan = folder.plan()
    if plan is not None:
        return Said(_best(folder, plan))
    if (path / RECORD).exists():
        return _of_run(RunFolder(path))
    raise RunError(
        f"Expected the folder of a search or of a run of `caviar improve` to start from, but {path} is none. "
        f"Give the folder that the command printed."
    )


def _best(folder: StudyFolder, plan: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a search's best trial; of one that is not over, of the best so far."""
    record = folder.result()
    if record is not None:
        return dict(record.settings)
    higher = metric_named(plan["objectives"][0]).higher_is_better
    sound = [line for line in folder.lines(mend=False) if not line.why]
    done = [line for line in sound if line.share == max(one.share for one in sound)]
    if not done:
        raise RunError(
            f"Expected a search with a trial that did not fail in {folder.path}, got none. Give another folder."
        )
    return dict(
        min(done, key=lambda line: (-line.score[0] if higher else line.score[0], line.number)).settings
    )


def _of_run(folder: RunFolder) -> Said:
    """The chosen recipe of a run of `caviar improve`, told from its finished network."""
    record = folder.load_record()
    arms = [arm for arm in (record.baseline, *(record.trial.arms if record.trial else [])) if arm is not None]
    arm = next((arm for arm in arms if record.final is not None and arm.name == record.final.recipe), None)
    if arm is None:
        raise RunError(
            f"Expected a finished run in {folder.path}, got one without a model. `caviar resume` goes on with it."
        )
    model = load_networks(folder.path / MODEL)[0]
    file = min((folder.path / MODEL).glob("*.keras"))
    with zipfile.ZipFile(file) as parts:
        compiled = json.loads(parts.read("config.json")).get("compile_config") or {}
    return table_settings(model.layers, compiled.get("optimizer") or {}, arm.batch_size, tuple(arm.changes))


def _of_recipe(recipe: Recipe, n_inputs: int, n_outputs: int) -> Said:
    """The settings that a search made it of, without what was changed since; else those its network shows."""
    changes = [name for name, _ in recipe.changes]
    if recipe.hyperparameters:
        return Said(dict(recipe.hyperparameters), changes)
    model = sketch(recipe.build(n_inputs, n_outputs))
    compiled = model.get_compile_config() or {}
    callbacks = [type(one).__name__ for one in recipe.callbacks]
    return table_settings(
        model.layers, compiled.get("optimizer") or {}, recipe.batch_size, changes + callbacks
    )
