"""A lesson as a file: copied to where a person can change it, and read again from there."""

import sys
from pathlib import Path

from caviar.errors import OptionError
from caviar.lessons.table import LESSONS
from caviar.recipe.builder import run_file
from caviar.run.files import write_text
from caviar.teaching.contract import Lesson


def find_lesson(name: str) -> tuple[Lesson, str]:
    """A lesson and the text of its file, by its name or by the path of a file that holds `LESSON`.

    Raises:
        OptionError: There is no such lesson.
        ModelError: The file does not run.
    """
    if name.endswith(".py"):
        return _from_file(Path(name).expanduser())
    lesson = next((one for one in LESSONS if one.name == name), None)
    if lesson is None:
        raise OptionError(
            f"Expected a lesson's name or a file with LESSON in it, got {name!r}. There are "
            f"{', '.join(one.name for one in LESSONS)}."
        )
    return lesson, file_of(lesson).read_text(encoding="utf-8")


def file_of(lesson: Lesson) -> Path:
    """Where a lesson of the course is written down."""
    for module in list(sys.modules.values()):
        if getattr(module, "LESSON", None) is lesson and module.__file__:
            return Path(module.__file__)
    raise OptionError(f"Expected a lesson of the course, got {lesson.name!r}, which was changed.")


def edit(name: str, folder: Path, *, force: bool = False) -> Path:
    """Put a lesson's file into a folder, to be changed there.

    Raises:
        OptionError: There is no such lesson, or there is a file already.
        RunError: It cannot be written.
    """
    lesson, text = find_lesson(name)
    path = folder / file_of(lesson).name
    if path.exists() and not force:
        raise OptionError(
            f"Expected no file at {path}, because yours would be lost, but there is one. Move it, or pass --force."
        )
    write_text(path, text)
    return path


def _from_file(path: Path) -> tuple[Lesson, str]:
    lesson = getattr(run_file(path), "LESSON", None)
    if not isinstance(lesson, Lesson):
        raise OptionError(
            f"Expected {path} to say LESSON = Lesson(…), found none. Copy a lesson with --edit and change that."
        )
    return lesson, path.read_text(encoding="utf-8")
