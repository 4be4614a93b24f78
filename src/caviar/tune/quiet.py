"""How is Optuna kept silent? What it would log, searches say in their own words or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """Let Optuna log errors only, and afterwards what it logged before: others in this process may use it, too.

    >>> import optuna
    >>> before = optuna.logging.get_verbosity()
    >>> with quiet():
    ...     optuna.logging.get_verbosity() == optuna.logging.ERROR
    True
    >>> optuna.logging.get_verbosity() == before
    True
    """
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
