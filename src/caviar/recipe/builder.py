"""The person's own model builder: found in a file, called with what it asks for."""

import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from caviar.errors import ModelError, OptionError
from caviar.recipe.hyperparameters import HyperParameters

_KNOWN = ("hp", "n_inputs", "n_outputs")
_KERAS_TUNER = ("keras_tuner", "kerastuner")  # the latter in older scripts
Builder = Callable[..., Any]


def read_builder(given: object) -> Builder:
    """A builder as a person names it: the function itself, or `file.py:name`.

    Raises:
        OptionError: It is neither.
        ModelError: `load_builder` refuses it.
    """
    if isinstance(given, str):
        return load_builder(given)
    _refuse_model(given)
    if not callable(given):
        raise OptionError(
            f"Expected a function that returns a compiled model, got {type(given).__name__}. Pass a builder."
        )
    return given


def load_builder(reference: str) -> Builder:
    """The function that `file.py:name` points to; the file is run, as `python file.py` would.

    Raises:
        ModelError: The form is wrong, the file is missing or raises, or it has no such function.
    """
    builder: Builder = _named(reference, callable)
    return builder


def read_searched(given: object) -> Any:  # noqa: ANN401 - a builder, or a HyperModel
    """What a search asks, as a person names it: a builder, a `HyperModel` or the class of one, or `file.py:name`.

    Raises:
        OptionError: It is none of these.
        ModelError: The file has no such thing, or the class cannot be made without arguments.
    """
    found = _named(given, lambda one: callable(build_of(one))) if isinstance(given, str) else given
    if isinstance(found, type) and "hp" in _parameters(getattr(found, "build", None)):
        try:
            found = found()
        except Exception as error:  # anybody's code
            raise ModelError(
                f"Expected a HyperModel that can be made without arguments, but that raised {type(error).__name__}: "
                f"{error}. Make one in the file, and name that."
            ) from error
    _refuse_model(found)
    if not callable(build_of(found)):
        raise OptionError(
            f"Expected a function that returns a compiled model, or a HyperModel, got {type(found).__name__}. "
            f"Pass a builder."
        )
    return found


def _refuse_model(given: object) -> None:
    keras = sys.modules.get("keras")  # where nobody imported it, nobody made a model
    if keras is not None and isinstance(given, keras.Model):
        raise OptionError(
            f"Expected a function that returns a compiled model, because every training needs one of its own, got a "
            f"{type(given).__name__} that is made already. Pass the function that builds and compiles it."
        )


def build_of(given: Any) -> Any:  # noqa: ANN401
    """The function that builds: a `HyperModel`'s `build`, or the builder itself."""
    method = None if isinstance(given, type) else getattr(given, "build", None)
    return method if callable(method) else given


def _parameters(function: Any) -> tuple[str, ...]:  # noqa: ANN401
    return tuple(inspect.signature(function).parameters) if callable(function) else ()


def _named(reference: str, suits: Callable[[object], bool]) -> Any:  # noqa: ANN401
    """What `file.py:name` points to, which must be what is looked for."""
    path_text, separator, name = reference.rpartition(":")
    if not separator or not path_text or not name.isidentifier():
        raise ModelError(
            f"Expected a model as file.py:function, got {reference!r}. For example my_model.py:build."
        )
    path = Path(path_text).expanduser()
    module = run_file(path)
    found = getattr(module, name, None)
    if not suits(found):
        functions = [
            n for n, f in vars(module).items() if inspect.isfunction(f) and f.__module__ == module.__name__
        ]
        raise ModelError(
            f"Expected a function {name!r} in {path}, found {', '.join(functions) or 'no function'}. "
            f"Name one of them after the colon."
        )
    return found


def run_file(path: Path) -> ModuleType:
    """Run a person's own file, as `python file.py` would.

    Raises:
        ModelError: It is missing, or raises.
    """
    if not path.is_file():
        raise ModelError(f"Expected a Python file at {path}, found none. Check the path.")
    spec = importlib.util.spec_from_file_location(f"caviar_user_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ModelError(f"Expected a Python file (.py), got {path}. Put the builder into a .py file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    folder = str(path.parent.resolve())
    sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # a script may end itself with sys.exit
        del sys.modules[spec.name]
        if isinstance(error, ModuleNotFoundError) and error.name in _KERAS_TUNER:
            raise ModelError(
                f"Expected {path} to run as Python, but it imports {error.name}, and KerasTuner is not installed. "
                f"Change that import to `import caviar.keras_tuner as {error.name}`, which asks the same questions."
            ) from error
        text = (str(error).strip().splitlines() or [""])[0].rstrip(".")
        raise ModelError(
            f"Expected {path} to run as Python, but it raised {type(error).__name__}{': ' if text else ''}{text}. "
            f"Run `python {path}` to see where."
        ) from error
    finally:
        if folder in sys.path:  # the file may have changed it
            sys.path.remove(folder)
    return module


def call_with(builder: Builder, n_inputs: int, n_outputs: int, hp: HyperParameters | None = None) -> Any:  # noqa: ANN401
    """Call a builder with those of `hp`, `n_inputs`, `n_outputs` that it takes; `hp` has defaults only if not given.

    >>> call_with(lambda n_inputs: n_inputs + 1, 10, 3)
    11

    Raises:
        ModelError: It needs an argument that is none of these.
    """
    parameters = inspect.signature(builder).parameters.values()
    offered: dict[str, Any] = {
        "hp": HyperParameters() if hp is None else hp,
        "n_inputs": n_inputs,
        "n_outputs": n_outputs,
    }
    positional, named = [], {}
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.name not in offered and parameter.default is parameter.empty:
            raise ModelError(
                f"Expected a builder that takes nothing, or some of {', '.join(_KNOWN)}; "
                f"yours also needs {parameter.name!r}. Give it a default value."
            )
        if parameter.kind is parameter.POSITIONAL_ONLY:  # its own default keeps the next one in its place
            positional.append(offered.get(parameter.name, parameter.default))
        elif parameter.name in offered:
            named[parameter.name] = offered[parameter.name]
    return builder(*positional, **named)
