"""The code that a builder needs: its own lines from a person's file, and no others. Nothing is run."""

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from caviar.errors import ModelError

_FRAMEWORKS = {"keras", "tensorflow", "torch", "jax"}
_SETTINGS = re.compile(r"(set|enable|disable|use|update)(_|$)")
_SETTINGS_OF_ENVIRONMENT = re.compile(r"(KERAS|TF|JAX|XLA|CUDA)_")
_READS_DATA = re.compile(r"(open|load|read|fetch|scan)(_|$)|genfromtxt$|loadtxt$|fromfile$|memmap$")


@dataclass(frozen=True)
class BuilderSource:
    """A builder's code, complete in itself.

    Attributes:
        name: What the builder is called.
        code: Imports, constants, functions and classes that it needs, and the builder, in the order of the file.
        names: Names that this code binds.
        arguments: Arguments that the builder has to be given, or may be given, in order.
        required: Those without a default.
        beside: Modules of the person's own that are imported whole and stay outside.
    """

    name: str
    code: str
    names: frozenset[str]
    arguments: tuple[str, ...]
    required: tuple[str, ...]
    beside: tuple[str, ...]

    @cached_property
    def texts(self) -> frozenset[str]:
        """All quoted texts in the code."""
        nodes = ast.walk(ast.parse(self.code))
        return frozenset(n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str))


class _File:
    """A Python file's statements, what each binds, and what each uses."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.text = path.read_text(encoding="utf-8")
            self.tree = ast.parse(self.text)
        except (OSError, UnicodeDecodeError, SyntaxError, ValueError) as error:
            what = error.strerror if isinstance(error, OSError) else error
            raise ModelError(
                f"Expected {path} to be a Python file, but: {what}. Run `python {path}` to see where."
            ) from error
        self.lines = self.text.splitlines()
        self.statements = [node for node in self.tree.body if not _is_main_part(node)]
        self.bound = {name: node for node in self.statements for name in _binds(node)}

    def source(self, node: ast.stmt) -> str:
        """A statement as it is written, decorators included."""
        decorators = getattr(node, "decorator_list", [])
        first = min([node.lineno, *(d.lineno for d in decorators)])
        return "\n".join(self.lines[first - 1 : node.end_lineno])


def builder_source(reference: str) -> BuilderSource:
    """The code that the builder at `file.py:name` needs, found without running the file.

    Functions and classes that it takes from files beside its own are included; imports are cut down to what is used.

    Args:
        reference: The builder as file.py:function.

    Raises:
        ModelError: The form is wrong, there is no such file or function, or the builder needs data that are read.
    """
    text, separator, name = reference.rpartition(":")
    if not separator or not text or not name.isidentifier():
        raise ModelError(
            f"Expected a model as file.py:function, got {reference!r}. For example my_model.py:build."
        )
    path = Path(text).expanduser()
    if not path.is_file():
        raise ModelError(f"Expected a Python file at {path}, found none. Check the path before the colon.")
    file = _File(path)
    if name not in file.bound:
        functions = [n.name for n in file.statements if isinstance(n, ast.FunctionDef)]
        raise ModelError(
            f"Expected a function {name!r} in {path}, found {', '.join(functions) or 'no function'}. "
            f"Name one of them after the colon."
        )
    parts: list[tuple[_File, ast.stmt, str]] = []
    beside: list[str] = []
    _collect(file, {name}, parts, beside, {path.resolve()})
    definition = next((node for _, node, _ in parts if getattr(node, "name", "") == name), None)
    if not isinstance(definition, ast.FunctionDef):
        raise ModelError(f"Expected {name!r} in {path} to be written with def. Put a function around it.")
    arguments, required = _arguments(definition)
    texts = list(dict.fromkeys(source for _, _, source in parts))
    texts.sort(key=lambda source: not source.startswith("from __future__"))
    code = _joined(texts)
    names = frozenset(name for node in ast.parse(code).body for name in _binds(node))
    return BuilderSource(name, code, names, arguments, required, tuple(dict.fromkeys(beside)))


def _collect(
    file: _File,
    wanted: set[str],
    parts: list[tuple[_File, ast.stmt, str]],
    beside: list[str],
    seen: set[Path],
) -> None:
    """Add to `parts` the statements of a file that `wanted` names need, in order; those of files beside it first."""
    needed, names = _needed(file, wanted)
    for node in needed:
        if isinstance(node, ast.Import | ast.ImportFrom):
            _import(file, node, names, parts, beside, seen)
        else:
            _refuse_data(file, node, next(iter(wanted)))
            parts.append((file, node, file.source(node)))


def _needed(file: _File, wanted: set[str]) -> tuple[list[ast.stmt], set[str]]:
    """The statements that some names need, in the order of the file, and all names that these use."""
    names = set(wanted)
    needed: set[int] = set()
    while True:
        more = {
            id(node)
            for node in file.statements
            if any(name in names for name in _binds(node)) or _changes(node, file, names)
        }
        names |= {name for node in file.statements if id(node) in more for name in _uses(node)}
        if more == needed:
            return [node for node in file.statements if id(node) in needed], names
        needed = more


def _import(
    file: _File,
    node: ast.Import | ast.ImportFrom,
    names: set[str],
    parts: list[tuple[_File, ast.stmt, str]],
    beside: list[str],
    seen: set[Path],
) -> None:
    """An import, cut down to what is used; what comes from a file beside this one is copied where that can be."""
    used = [
        alias
        for alias in node.names
        if (alias.asname or alias.name.split(".")[0]) in names or alias.name == "*"
    ]
    if isinstance(node, ast.ImportFrom):
        local = _beside(file, node.module) if node.level <= 1 else None
        plain = all(alias.asname in (None, alias.name) and alias.name != "*" for alias in used)
        if local is not None and plain and local.resolve() not in seen:
            other = _File(local)
            if all(alias.name in other.bound for alias in used):
                _collect(other, {alias.name for alias in used}, parts, beside, seen | {local.resolve()})
                return
        if local is not None:
            beside.append(str(node.module))
        cut: ast.stmt = ast.ImportFrom(node.module, used, node.level)
    else:
        beside += [alias.name for alias in used if _beside(file, alias.name) is not None]
        cut = ast.Import(used)
    parts.append((file, node, ast.unparse(cut)))


def _beside(file: _File, module: str | None) -> Path | None:
    """The file of a module that lies in the same folder."""
    path = file.path.parent / f"{(module or '').replace('.', '/')}.py"
    return path if module and path.is_file() else None


def _refuse_data(file: _File, node: ast.stmt, builder: str) -> None:
    """A builder that needs a person's data cannot be shown to others."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
        return
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and _READS_DATA.match(_dotted(call.func).rpartition(".")[2]):
            raise ModelError(
                f"Expected a builder that needs no data, but {builder} uses what line {node.lineno} of "
                f"{file.path} reads. Let it take n_inputs and n_outputs."
            )


def _arguments(definition: ast.FunctionDef) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of all arguments, and of those without a default."""
    given = definition.args
    positional = [a.arg for a in (*given.posonlyargs, *given.args)]
    required = positional[: len(positional) - len(given.defaults)]
    required += [a.arg for a, value in zip(given.kwonlyargs, given.kw_defaults, strict=True) if value is None]
    return (*positional, *(a.arg for a in given.kwonlyargs)), tuple(required)


def _binds(node: ast.AST) -> Iterator[str]:
    """Names that a statement binds in its file."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Import | ast.ImportFrom):
        yield from (alias.asname or alias.name.split(".")[0] for alias in node.names)
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    elif not isinstance(node, ast.Lambda | ast.comprehension):
        for child in ast.iter_child_nodes(node):
            yield from _binds(child)


def _uses(node: ast.AST) -> Iterable[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}


def _changes(node: ast.stmt, file: _File, names: set[str]) -> bool:
    """Whether a statement changes what `names` stand for, or how Keras works."""
    if isinstance(node, ast.ImportFrom):
        return node.module == "__future__" or any(alias.name == "*" for alias in node.names)
    if isinstance(node, ast.Assign | ast.AugAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if any(isinstance(target, ast.Name) for target in targets):
            return False
        return any(_is_about(target, file, names) for target in targets)
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        called = _dotted(node.value.func)
        root, _, rest = called.partition(".")
        last = rest.rpartition(".")[2]
        if _is_import(file, root):
            return (
                _framework(file, root) in _FRAMEWORKS and bool(_SETTINGS.match(last)) and "seed" not in last
            )
        return bool(rest) and root in names and root in file.bound
    return False


def _is_about(target: ast.expr, file: _File, names: set[str]) -> bool:
    """Whether an assigned place belongs to a needed name, or to the settings of a framework."""
    dotted = _dotted(target)
    root = dotted.partition(".")[0]
    if dotted.startswith("os.environ") and isinstance(target, ast.Subscript):
        key = target.slice
        return isinstance(key, ast.Constant) and bool(_SETTINGS_OF_ENVIRONMENT.match(str(key.value)))
    if _is_import(file, root):
        return _framework(file, root) in _FRAMEWORKS
    return root in names and root in file.bound


def _is_import(file: _File, name: str) -> bool:
    return isinstance(file.bound.get(name), ast.Import | ast.ImportFrom)


def _framework(file: _File, name: str) -> str:
    """The package from which an imported name comes."""
    node = file.bound[name]
    if isinstance(node, ast.ImportFrom):
        return (node.module or "").split(".")[0]
    assert isinstance(node, ast.Import)
    return next(a.name.split(".")[0] for a in node.names if (a.asname or a.name.split(".")[0]) == name)


def _dotted(node: ast.expr) -> str:
    """`a.b.c` for an expression of that form, whatever is called or indexed on the way."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    if isinstance(node, ast.Subscript):
        return _dotted(node.value)
    return _dotted(node.func) if isinstance(node, ast.Call) else ""


def _is_main_part(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and "__name__" in set(_uses(node.test))


def _joined(texts: Iterable[str]) -> str:
    """Statements with blank lines around functions and classes, as people write them."""
    lines: list[str] = []
    was_long = False
    for text in texts:
        is_long = "\n" in text and re.match(r"(@|def |class |async )", text) is not None
        if lines and (is_long or was_long):
            lines += ["", ""]
        lines.append(text)
        was_long = is_long
    return "\n".join(lines)
