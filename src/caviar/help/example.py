"""The smallest program that shows an error on made-up data, found by running it and making it smaller."""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from caviar.errors import OptionError
from caviar.help.channels import Channel, channel_for
from caviar.help.likeness import drafts, of_shape, of_table
from caviar.help.raised import Raised, plain_text, read_raised
from caviar.help.script import Example, check_arguments, versions
from caviar.help.source import BuilderSource, builder_source
from caviar.run.files import write_text

_PATIENCE = 120.0  # seconds for one run, imports and compiling included
_FEW_ROWS = (4, 40)
_MOST_TEXTS = 3
_LINE = 110


@dataclass(frozen=True)
class Tried:
    """How one run of an example ended: what it raised, None if nothing, and whether it took too long."""

    raised: Raised | None
    took_too_long: bool = False


@dataclass(frozen=True)
class SmallestExample:
    """A program that others can run, and what it shows.

    Attributes:
        outcome: "shown" (the error that was asked about), "raises" (none was asked about, and it raises one),
            "another" (it raises a different error), "no error", or "too slow".
        sentence: The outcome in words.
        raised: What the program raises; None if nothing.
        rows: Rows that it makes up.
        columns: Numbers, or columns, of a row.
        path: Where it was written.
        text: The program.
        remarks: What to look at before it is shown to others, one sentence each.
        channel: Where such a question belongs.
    """

    outcome: str
    sentence: str
    raised: Raised | None
    rows: int
    columns: int
    path: Path
    text: str
    remarks: tuple[str, ...]
    channel: Channel

    def __repr__(self) -> str:
        return "\n".join([self.sentence, *self.remarks, f"Written to {self.path}."])


def smallest_example(
    model: str,
    *,
    error: str = "",
    table: object = None,
    inputs: str | int | tuple[int, ...] | None = None,
    outputs: str | int | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    out: str | Path = "example.py",
    force: bool = False,
    say: Callable[[str], object] = lambda _: None,
    **read: Any,  # noqa: ANN401 - how the table is read
) -> SmallestExample:
    """Write a program that others can run: your builder's code, random data of the same shape, one call of fit.

    No row of yours is in it: numbers are random, categories are called a, b, …, columns c1, c2, …. Each version is
    run in a process of its own; what still shows the same error with fewer rows, columns and epochs is kept.

    Args:
        model: The builder, as file.py:function; the lines that it needs are copied and run.
        error: The message or traceback that the program should show; whatever it raises if not given.
        table: The table, as for `caviar.improve`; its options are taken under the same names.
        inputs: In place of a table: columns of a row, or its shape such as "28x28x1"; for a network that takes several
            arrays "28x28x1 5" or, if it takes them by name, "image=28x28x1 meta=5".
        outputs: In place of a table: numbers that the network returns, 1 by default; of several outputs likewise
            "1 3" or "price=1 kind=3".
        epochs: Passes over the data; 1 by default.
        batch_size: Rows per gradient step; Keras' own by default.
        out: Where to write it.
        force: Whether a file may be written over.
        say: Is told what happens meanwhile, a sentence at a time.
        **read: How the table is read; without a table only `task`.

    Raises:
        CaviarError: The builder, the table or an option cannot be used, or the file is there already.
    """
    path = Path(out).expanduser()
    _check(path, read, table=table, inputs=inputs, outputs=outputs, force=force)
    for name, number in (("--epochs", epochs), ("--batch-size", batch_size)):
        if number is not None and number < 1:
            raise OptionError(f"Expected {name} to be a whole number of at least 1, got {number}. Raise it.")
    source = builder_source(model)
    check_arguments(source)
    if inputs is None:
        likeness = of_table(table, read)
    else:
        likeness = of_shape(inputs, 1 if outputs is None else outputs, read.get("task"), source.code)
    expected = read_raised(error) or (Raised("", plain_text(error)) if error.strip() else None)
    made = [
        Example(source, draft, epochs or 1, batch_size)
        for draft in drafts(likeness, as_it_stands=expected is not None)
    ]
    runner = _Runner(Path(model.rpartition(":")[0]).expanduser(), source)
    found, tried, outcome = _search(made, expected, runner, say)
    if outcome in {"shown", "raises", "another"}:
        assert tried.raised is not None
        found = _shrink(found, tried.raised, runner, say)
        tried = runner.run(found)
    remarks = tuple(_remarks(source, likeness.private))
    text = _heading(tried, found) + found.script()
    _refuse_overwriting(path, force=force)  # it may have appeared meanwhile
    write_text(path, text)
    return SmallestExample(
        outcome,
        _sentence(outcome, tried, expected),
        tried.raised,
        found.draft.rows,
        found.draft.n_inputs,
        path,
        text,
        remarks,
        channel_for(error or (tried.raised.headline if tried.raised else "")),
    )


def _check(
    path: Path, read: dict[str, Any], *, table: object, inputs: object, outputs: object, force: bool
) -> None:
    if table is None and inputs is None:
        raise OptionError("Expected --table or --inputs beside --model, got neither. Say how wide a row is.")
    if table is not None and (inputs is not None or outputs is not None):
        raise OptionError(
            "Expected --table or --inputs and --outputs, got both. The table tells its own shape."
        )
    given = [name for name, value in read.items() if value not in (None, ()) and name != "task"]
    if table is None and given:
        raise OptionError(f"Expected --table beside --{given[0]}, got none. Name the table.")
    _refuse_overwriting(path, force=force)


def _refuse_overwriting(path: Path, *, force: bool) -> None:
    if path.is_dir():
        raise OptionError(f"Expected a file to write, but {path} is a folder. Name a file in it with --out.")
    if path.exists() and not force:
        raise OptionError(
            f"Expected to write {path}, but it is there. Choose another --out, or pass --force."
        )


class _Runner:
    """Runs examples, each once, in a process and a folder of its own."""

    def __init__(self, file: Path, source: BuilderSource) -> None:
        self._beside = str(file.parent.resolve()) if source.beside else None
        self._known: dict[str, Tried] = {}

    def run(self, example: Example) -> Tried:
        script = example.script()
        if script not in self._known:
            self._known[script] = self._run(script)
        return self._known[script]

    def _run(self, script: str) -> Tried:
        with tempfile.TemporaryDirectory(prefix="caviar-example-") as folder:
            path = Path(folder) / "example.py"
            path.write_text(script, encoding="utf-8")
            words = [sys.executable, path.name]
            if self._beside is not None:
                words = [sys.executable, "-c", _WITH_FOLDER, self._beside, path.name]
            try:
                done = subprocess.run(  # noqa: S603 - an argument list, never a shell
                    words,
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    errors="replace",
                    timeout=_PATIENCE,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                return Tried(None, took_too_long=True)
        if done.returncode == 0:
            return Tried(None)
        said = read_raised(done.stderr)
        return Tried(
            said or Raised("", (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1])
        )


_WITH_FOLDER = (
    "import runpy, sys; sys.path.insert(0, sys.argv[1]); runpy.run_path(sys.argv[2], run_name='__main__')"
)


def _search(
    made: list[Example], expected: Raised | None, runner: _Runner, say: Callable[[str], object]
) -> tuple[Example, Tried, str]:
    """The first form of the data that shows the error; else one that works; else one that raises another."""
    seen: list[tuple[Example, Tried]] = []
    for number, example in enumerate(made, 1):
        say(f"Running it on made-up data, form {number} of at most {len(made)} …")
        tried = runner.run(example)
        if expected is not None and tried.raised is not None and tried.raised.is_same_as(expected):
            return example, tried, "shown"
        seen.append((example, tried))
        if expected is None and tried.raised is None:
            break
    for example, tried in seen:
        if tried.raised is None:
            return example, tried, "too slow" if tried.took_too_long else "no error"
    example, tried = seen[0]
    return example, tried, "raises" if expected is None else "another"


def _shrink(example: Example, raised: Raised, runner: _Runner, say: Callable[[str], object]) -> Example:
    """Make an example smaller, all at once or one thing at a time, as long as it shows the same error."""
    for what, smaller_than in _STEPS:
        for smaller in smaller_than(example):
            say(f"Running it with {what} …")
            found = runner.run(smaller).raised
            if found is not None and found.is_same_as(raised) and found.kind == raised.kind:
                example = smaller
                break
    return example


def _smallest(example: Example) -> Iterator[Example]:
    """All that may be smaller as small as can be: mostly that is enough, in one run."""
    smallest = example
    for _, smaller_than in _STEPS[1:]:
        smallest = next(smaller_than(smallest), smallest)
    if smallest != example:
        yield smallest


def _fewer_rows(example: Example) -> Iterator[Example]:
    for rows in _FEW_ROWS:
        if rows < example.draft.rows:
            yield replace(example, draft=replace(example.draft, rows=rows))


def _fewer_columns(example: Example) -> Iterator[Example]:
    width = example.draft.n_inputs
    for fewer in dict.fromkeys((1, 2, width // 2)):
        if example.draft.columns and 0 < fewer < width:
            yield replace(example, draft=example.draft.of_width(fewer))


def _one_epoch(example: Example) -> Iterator[Example]:
    if example.epochs > 1:
        yield replace(example, epochs=1)


def _usual_batches(example: Example) -> Iterator[Example]:
    if example.batch_size is not None:
        yield replace(example, batch_size=None)


_STEPS: tuple[tuple[str, Callable[[Example], Iterator[Example]]], ...] = (
    ("less of everything", _smallest),
    ("fewer rows", _fewer_rows),
    ("fewer columns", _fewer_columns),
    ("one epoch", _one_epoch),
    ("batches of the usual size", _usual_batches),
)


def _heading(tried: Tried, example: Example) -> str:
    """Comments that say what the program is, what it shows, and with which versions."""
    shown = tried.raised.headline if tried.raised else "no error"
    shown = shown if len(shown) <= _LINE - 12 else f"{shown[: _LINE - 15]}..."
    return (
        f"# The data are random numbers, made up by Caviar in the shape of the real ones.\n"
        f"# It {'raises' if tried.raised else 'shows'}: {shown}\n"
        f"# {versions(example.backend)}\n"
    )


def _sentence(outcome: str, tried: Tried, expected: Raised | None) -> str:
    said = tried.raised.headline if tried.raised else ""
    if outcome == "shown":
        return f"Made-up data of the same shape show the same error: {said}"
    if outcome == "raises":
        return f"On made-up data of that shape it raises: {said}"
    if outcome == "another":
        assert expected is not None
        return (
            f"Made-up data of that shape raise another error than yours: {said} Yours may come from the data, "
            f"from another call than fit, or from another backend."
        )
    if outcome == "too slow":
        return f"The example ran for {_PATIENCE:.0f} seconds without an error and was ended. Make the model smaller."
    return (
        "The model trains on made-up data of that shape without an error: yours lies in the data or elsewhere, "
        "not in the model's code. Look at the data (caviar look TABLE), and at what stands around fit."
    )


def _remarks(source: BuilderSource, private: frozenset[str]) -> Iterator[str]:
    """What to look at before an example is shown to others."""
    if source.beside:
        yield (
            f"It still imports {', '.join(source.beside)} from beside your file, so others cannot run it: copy into it "
            f"what it needs of that."
        )
    words = sorted(word for word in source.texts & private if len(word) > 1)
    if words:
        more = " …" if len(words) > _MOST_TEXTS else ""
        named = ", ".join(words[:_MOST_TEXTS])
        yield f"Its code names {named}{more}, as your table does: look whether others may read that."
