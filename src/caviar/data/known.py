"""Where do the public tables of the course come from, and is a file really one of them?

Four tables that much is written about. None comes with Caviar: a file is taken from a folder of yours, from the cache
or from the network, and its SHA-256 says whether it is the table that it should be.
"""

import hashlib
import io
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from time import monotonic
from urllib.request import urlopen

import polars as pl

from caviar.errors import DataError, RunError
from caviar.run.files import write_with

DATA_FOLDER = "CAVIAR_DATA"
"""Environment variable that names the folder of the tables, where no folder is passed."""

# Each commit is named, so that what lies at an address cannot change.
_GITHUB = "https://raw.githubusercontent.com"
_DATASETS = f"{_GITHUB}/jbrownlee/Datasets/d20fcb6402ae34e653d4513b00f39257bb37ed7f"
_CSV = "cardio_train.csv"
_CARDIO_COPIES = (
    f"{_GITHUB}/kinjingilakshman/Cardiovascular-disease-predictor/73485d5d017db5e25017419921659fea144089f2/{_CSV}",
    f"{_GITHUB}/sarthakjain36/cardio_data/0f62538a26767108f3a514d95ec0cc57a6958f42/{_CSV}",
)
_CARDIO = "id;age;gender;height;weight;ap_hi;ap_lo;cholesterol;gluc;smoke;alco;active;cardio"

# A copy may have longer line ends; one of twice the size is something else and is not read to its end.
_LONGEST = 2
_SILENCE, _PATIENCE = 20.0, 300.0  # seconds without a byte, and for a whole file
_PIECE = 1 << 16


@dataclass(frozen=True)
class KnownTable:
    """A public table, and how to tell that a file is it.

    Attributes:
        origin: Who collected what, in a sentence.
        file: Name of its file in a folder of tables.
        urls: Where copies lie, in the order in which they are tried.
        size: Bytes of the file as first published.
        sha256: Its SHA-256, of the bytes that `as_published` gives.
        columns: Names of its columns; the files of three tables have none.
        target: The column to predict.
        separator: What stands between cells.
        heading: The first line, where it names the columns; else empty.
        headings_of_copies: What copies have in its place.
        ends_in_newline: Whether the last line has a newline, too.
        quote: A mark around labels in the file that is no part of them; else empty.
    """

    origin: str
    file: str
    urls: tuple[str, ...]
    size: int
    sha256: str
    columns: tuple[str, ...]
    target: str
    separator: str = ","
    heading: str = ""
    headings_of_copies: tuple[str, ...] = ()
    ends_in_newline: bool = False
    quote: str = ""


KNOWN = {
    "pima": KnownTable(
        origin=(
            "768 women of Pima heritage, with diabetes or without it (UCI; National Institute of Diabetes and "
            "Digestive and Kidney Diseases, 1990); a 0 in glucose, blood_pressure, skin_thickness, insulin or "
            "bmi stands for a missing value and is left as it is."
        ),
        file="pima-indians-diabetes.csv",
        urls=(f"{_DATASETS}/pima-indians-diabetes.csv",),
        size=23_278,
        sha256="6bfe5d0f379d17a0e0819b996407e3c09bf80febd4287f2ed212190dfff154af",
        columns=(
            *("pregnancies", "glucose", "blood_pressure", "skin_thickness", "insulin", "bmi", "pedigree"),
            *("age", "diabetes"),
        ),
        target="diabetes",
    ),
    "sonar": KnownTable(
        origin=(
            "208 echoes of a rock (R) or a metal cylinder (M, a mine) in 60 frequency bands, sorted by class "
            "(UCI connectionist bench; Gorman and Sejnowski 1988)."
        ),
        file="sonar.csv",
        urls=(f"{_DATASETS}/sonar.csv",),
        size=87_775,
        sha256="3079c09b5d2789a0f96aff82c28e5164fafe2495c5f8da96c6c256c1bd25763f",
        columns=(*(f"band_{band}" for band in range(1, 61)), "class"),
        target="class",
    ),
    "mammography": KnownTable(
        origin=(
            "11,183 spots in mammograms, of which 260 are microcalcifications (Woods et al. 1993); the label "
            "1 or -1 stands in single quotes in the file, which are taken off; 3,335 rows repeat the inputs of "
            "an earlier row."
        ),
        file="mammography.csv",
        urls=(f"{_DATASETS}/mammography.csv",),
        size=827_904,
        sha256="7d3dea3f075f30bbdbb8980e7725684059b4fe3d0f850fadd0f635f6993d8730",
        columns=(*(f"attribute_{number}" for number in range(1, 7)), "class"),
        target="class",
        quote="'",
    ),
    "cardio": KnownTable(
        origin=(
            "70,000 examinations of people with a cardiovascular disease or without one (Kaggle, Cardiovascular "
            "Disease dataset, user sulianova); id is no input, age counts days, and some blood pressures "
            "(ap_hi, ap_lo) are impossible."
        ),
        file=_CSV,
        urls=_CARDIO_COPIES,
        size=2_941_524,
        sha256="21a705d23381b0dfd6a6416da701b490744f1fc3b47e9ff3db3968c420ffa10c",
        columns=tuple(_CARDIO.split(";")),
        target="cardio",
        separator=";",
        heading=_CARDIO,
        headings_of_copies=(f"h{_CARDIO}", _CARDIO.replace("ap_hi;ap_lo", "sbp;dbp")),
        ends_in_newline=True,
    ),
}
"""The public tables by name."""


def known_table(
    name: str, data_dir: str | Path | None = None, *, urls: Sequence[str] | None = None
) -> pl.DataFrame:
    """The public table called `name`, with named columns and its rows in the file's order.

    It is looked for in `data_dir`, then in the cache (`$XDG_CACHE_HOME/caviar/tables`), then downloaded into the
    cache. Cells are as in the file, apart from the single quotes around `mammography`'s labels, which then are
    the numbers 1 and -1; zeros that stand for missing values stay zeros.

    Args:
        name: One of `KNOWN`.
        data_dir: Folder that may hold the file; by default the one that the environment's `CAVIAR_DATA` names.
        urls: Addresses to try in place of the table's own.

    Raises:
        DataError: There is no such table or folder, a file is another one than it should be, or it can
            neither be found nor downloaded.

    Example:
        >>> known_table("sonar")["class"].value_counts()  # doctest: +SKIP
    """
    if name not in KNOWN:
        raise DataError(
            f"Expected one of the known tables {', '.join(KNOWN)}, got {name!r}. Write known:{next(iter(KNOWN))}."
        )
    known = KNOWN[name]
    content = _in_folder(known, data_dir) or _in_cache(known) or _downloaded(known, urls or known.urls)
    return pl.read_csv(
        io.BytesIO(content),
        separator=known.separator,
        has_header=bool(known.heading),
        new_columns=list(known.columns),
        quote_char=known.quote or None,
        infer_schema_length=None,
    )


def as_published(known: KnownTable, content: bytes) -> bytes:
    r"""A copy's bytes with what is known to differ undone: line ends, the heading, a final newline.

    Nothing else is touched, so a copy with other cells keeps another SHA-256.

    >>> as_published(KNOWN["sonar"], b"0.1,R\r\n0.2,M\r\n")
    b'0.1,R\n0.2,M'
    >>> as_published(KNOWN["cardio"], KNOWN["cardio"].headings_of_copies[0].encode())[:7]
    b'id;age;'
    """
    content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").rstrip(b"\n")
    heading, newline, rows = content.partition(b"\n")
    if heading.decode(errors="replace") in known.headings_of_copies:
        content = known.heading.encode() + newline + rows
    return content + b"\n" * known.ends_in_newline


def _is(known: KnownTable, content: bytes) -> bool:
    return hashlib.sha256(content).hexdigest() == known.sha256


def _differs(known: KnownTable, content: bytes) -> str:
    """What was expected and what was seen, as part of a sentence."""
    seen = hashlib.sha256(content).hexdigest()
    return (
        f"{known.size:,} bytes with SHA-256 {known.sha256[:16]}… (line ends and heading put right), got "
        f"{len(content):,} bytes with {seen[:16]}…"
    )


def _in_folder(known: KnownTable, data_dir: str | Path | None) -> bytes | None:
    """The table in a person's own folder; a file that is another one is refused, not passed over."""
    named = data_dir if data_dir is not None else os.environ.get(DATA_FOLDER)
    if not named:
        return None
    folder = Path(named).expanduser()
    if not folder.is_dir():
        given = f"the environment's {DATA_FOLDER}" if data_dir is None else "the data folder"
        raise DataError(
            f"Expected {given} to be a folder that may hold {known.file}, but there is none at {folder}. "
            f"Correct it or leave it out."
        )
    path = folder / known.file
    if not path.exists():
        return None
    try:
        content = as_published(known, path.read_bytes())
    except OSError as error:
        raise DataError(f"Expected to read {path}, but: {error.strerror}. Check its permissions.") from error
    if not _is(known, content):
        raise DataError(
            f"Expected {path} to be the public table of that name, {_differs(known, content)}. Put the original "
            f"there, or take the file away to have it downloaded."
        )
    return content


def _cached(known: KnownTable) -> Path:
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches) / "caviar" / "tables" / known.file


def _in_cache(known: KnownTable) -> bytes | None:
    """The table as it was downloaded before; what is damaged is downloaded again."""
    try:
        content = _cached(known).read_bytes()
    except OSError:
        return None
    return content if _is(known, content) else None


def _keep(known: KnownTable, content: bytes) -> None:
    with suppress(RunError):  # a cache only saves time; a read-only home must not stop the run
        write_with(_cached(known), lambda temporary: temporary.write_bytes(content))


def _downloaded(known: KnownTable, urls: Sequence[str]) -> bytes:
    """The table from the first address that has it; kept in the cache where that can be written."""
    reasons = []
    for url in urls:
        try:
            content = as_published(known, _fetched(url, _LONGEST * known.size))
        except (OSError, HTTPException, ValueError) as error:
            reasons.append(_why(error))
            continue
        if _is(known, content):
            _keep(known, content)
            return content
        reasons.append(f"expected {_differs(known, content)}")
    raise DataError(
        f"Expected to download {known.file} from {urls[0]}, but it failed ({'; '.join(dict.fromkeys(reasons))}). "
        f"Put the file into a folder and name that with the environment's {DATA_FOLDER}, or with --data-dir "
        f"where a command has it."
    )


def _why(error: Exception) -> str:
    """An error of the network in a person's words: urllib wraps what the system said."""
    wrapped = getattr(error, "reason", None)
    cause = wrapped if isinstance(wrapped, OSError) else error
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__


def _fetched(url: str, longest: int) -> bytes:
    """What an address answers, at most `longest` bytes of it and in bounded time.

    Raises:
        OSError: There is no network, no such file, too many bytes, or they come too slowly.
        ValueError: It is no web address.
    """
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"expected a web address, got {url!r}")
    began, content = monotonic(), bytearray()
    with urlopen(url, timeout=_SILENCE) as answer:  # noqa: S310 - web addresses only, see above
        while piece := answer.read(_PIECE):
            content += piece
            if len(content) > longest:
                raise OSError(f"more than {longest:,} bytes came")
            if monotonic() - began > _PATIENCE:
                raise TimeoutError(f"it took longer than {_PATIENCE:.0f} s")
    return bytes(content)
