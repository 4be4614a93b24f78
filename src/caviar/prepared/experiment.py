"""What does a prepared experiment ask for? A TOML file, read as the command line that it stands for.

What may be asked is what the commands themselves know: their parameters are looked at, not listed again here.
"""

import difflib
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from caviar.data.named import is_named
from caviar.errors import OptionError

# A command that can be bounded in time trains: these are the ones to wait for.
_TRAINS = "minutes"
_FILES_READ = ("table", "test", "model", "builders", "run", "data", "old")


@dataclass(frozen=True)
class Prepared:
    """An experiment that a command has accepted.

    Attributes:
        name: The name of its file, without ending.
        command: Which command it is.
        arguments: What the command is given, without `--out`.
        home: The folder of its file.
        out: Folder of its results where the file names one, as a full path.
        has_out: Whether the command takes such a folder.
        minutes: Its bound on the time.
    """

    name: str
    command: str
    arguments: list[str]
    home: Path
    out: Path | None
    has_out: bool
    minutes: float | None


def read_prepared(path: Path, commands: Mapping[str, Any]) -> Prepared:
    """Read a prepared experiment, and let its command judge the arguments; nothing is begun.

    Args:
        path: A TOML file with `command = "…"` and the command's arguments and options under their own names.
        commands: Commands of the command line by name, as Typer made them.

    Raises:
        OptionError: The file cannot be read, or its command would not accept it.
    """
    told = _told(path)
    name = told.pop("command", None)
    known = [known for known, command in commands.items() if _parameters(command).get(_TRAINS)]
    if name not in known:
        raise OptionError(
            f"Expected {path} to name a command, one of {', '.join(known)}, got "
            f'{"none" if name is None else repr(name)}. Write for example command = "{known[0]}" into it.'
        )
    command = commands[name]
    arguments, options = _words_of(path, name, command, told)
    _require_accepted(path, name, command, [*options, *arguments])
    home = path.resolve().parent
    for key in _FILES_READ:
        for value in _several(told.get(key, [])):
            _require_there(path, key, value, home)
    minutes = told.get(_TRAINS)
    if minutes is not None and not (math.isfinite(float(minutes)) and float(minutes) > 0):
        raise OptionError(f"Expected minutes in {path} to be a number above 0, got {minutes}. Correct it.")
    out = told.get("out")
    return Prepared(
        name=path.stem,
        command=name,
        arguments=[*(word for word in options if not word.startswith("--out=")), *arguments],
        home=home,
        out=None if out is None else (home / Path(str(out)).expanduser()).resolve(),
        has_out="out" in _parameters(command),
        minutes=None if minutes is None else float(minutes),
    )


def _told(path: Path) -> dict[str, Any]:
    """Keys and values of a file; a dash in a key is as good as an underscore."""
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionError(
            f"Expected a TOML file that holds an experiment, but {path} cannot be read ({error.strerror}). "
            f"Check its name."
        ) from error
    except ValueError as error:  # no TOML, or no UTF-8
        raise OptionError(
            f'Expected {path} to be TOML, but it cannot be read: {error}. Write lines such as command = "improve".'
        ) from error
    return {key.replace("-", "_"): value for key, value in told.items()}


def _parameters(command: Any) -> dict[str, Any]:  # noqa: ANN401 - Typer's commands have no public type
    """Parameters of a command by key; one that stands for several words is known by each of them.

    `BUILDERS... TABLE` is `builders`, several of them, and `table`.
    """
    found = {}
    for parameter in command.params:
        for key in _keys(parameter):
            found[key.removesuffix("...")] = parameter
    return found


def _keys(parameter: Any) -> list[str]:  # noqa: ANN401
    if parameter.param_type_name == "argument" and parameter.metavar:
        return [word.lower() for word in parameter.metavar.split()]
    return [parameter.name]


def _words_of(
    path: Path,
    name: str,
    command: Any,  # noqa: ANN401
    told: Mapping[str, Any],
) -> tuple[list[str], list[str]]:
    """The command line, in two parts: arguments, which come last, and options."""
    parameters = _parameters(command)
    for key in told:
        if key not in parameters:
            close = difflib.get_close_matches(key, parameters, n=1)
            raise OptionError(
                f"Expected the keys of {path} to be options of `caviar {name}`, got {key!r}. "
                f"{f'Did you mean {close[0]!r}?' if close else f'They are {_listed(parameters)}.'}"
            )
    options = [
        word
        for key, value in told.items()
        if parameters[key].param_type_name == "option"
        for word in _option(path, key, parameters[key], value)
    ]
    arguments = []
    for parameter in command.params:
        if parameter.param_type_name != "argument":
            continue
        for key in _keys(parameter):
            word = key.removesuffix("...")
            if word not in told:
                raise OptionError(
                    f"Expected {path} to say {word!r}, which `caviar {name}` cannot do without, got only "
                    f"{_listed(told) or 'the command'}. Add {word} = {'[…]' if word != key else '…'}."
                )
            values = told[word] if word != key else [told[word]]
            if not isinstance(values, list):
                values = [values]
            arguments += [_plain(path, word, value) for value in values]
    return ["--", *arguments], options


def _option(path: Path, key: str, parameter: Any, value: Any) -> list[str]:  # noqa: ANN401
    """A key and its value as words of a command line."""
    long = next(word for word in parameter.opts if word.startswith("--"))
    if parameter.is_flag or isinstance(value, bool):
        if not (parameter.is_flag and isinstance(value, bool)):
            wanted = "true or false" if parameter.is_flag else "a text or a number"
            raise OptionError(f"Expected {key} in {path} to be {wanted}, got {value!r}. Correct it.")
        return [long] if value else list(parameter.secondary_opts[:1])
    if isinstance(value, list) and not parameter.multiple:
        raise OptionError(f"Expected one value for {key} in {path}, got a list. Give one.")
    return [f"{long}={_plain(path, key, one)}" for one in _several(value)]


def _several(value: Any) -> list[Any]:  # noqa: ANN401
    return value if isinstance(value, list) else [value]


def _plain(path: Path, key: str, value: Any) -> str:  # noqa: ANN401
    """A value as a word; a path that begins at home is written out, as a shell would."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise OptionError(
            f"Expected {key} in {path} to hold texts and numbers, got {type(value).__name__}. Put quotes around it."
        )
    text = str(value)
    return str(Path(text).expanduser()) if text.startswith("~/") else text


def _listed(names: Mapping[str, Any]) -> str:
    return ", ".join(names)


def _require_accepted(path: Path, name: str, command: Any, words: list[str]) -> None:  # noqa: ANN401
    """Let the command read its words as if somebody had typed them."""
    try:
        command.make_context(name, list(words)).close()
    except typer.TyperException as error:
        said = error.format_message().rstrip(".")
        raise OptionError(
            f"Expected {path} to hold what `caviar {name}` accepts, but it says: {said}. Correct it."
        ) from error


def _require_there(path: Path, key: str, value: Any, home: Path) -> None:  # noqa: ANN401
    text = str(value)
    if key in {"table", "test", "data", "old"} and is_named(text):
        return
    file = home / Path(text.rpartition(":")[0] if key in {"model", "builders"} else text).expanduser()
    kind = "folder" if key == "run" else "file"
    if not (file.is_dir() if key == "run" else file.is_file()):
        raise OptionError(
            f"Expected {key} in {path} to be a {kind}, found none at {file}. Paths in it are relative to {home}: "
            f"correct it."
        )
