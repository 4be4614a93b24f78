"""Which callbacks did a person give, and what do they do beside a training?"""

from collections.abc import Sequence
from typing import Any

import keras

from caviar.errors import OptionError


def read_callbacks(given: Any) -> tuple[keras.callbacks.Callback, ...]:  # noqa: ANN401 - it may be anything
    """One callback or several; None is none.

    >>> read_callbacks(None), len(read_callbacks(keras.callbacks.TerminateOnNaN()))
    ((), 1)

    Raises:
        OptionError: One of them is no callback.
    """
    if given is None:
        return ()
    if isinstance(given, keras.callbacks.Callback):
        return (given,)
    several = given if isinstance(given, Sequence) and not isinstance(given, str) else (given,)
    for one in several:
        if not isinstance(one, keras.callbacks.Callback):
            raise OptionError(
                f"Expected callbacks to be Keras callbacks, got {type(one).__name__}. Pass a list of them."
            )
    return tuple(several)


_WRITERS = (
    keras.callbacks.ModelCheckpoint,
    keras.callbacks.BackupAndRestore,
    keras.callbacks.CSVLogger,
    keras.callbacks.TensorBoard,
)


def without_writers(
    callbacks: Sequence[keras.callbacks.Callback],
) -> tuple[tuple[keras.callbacks.Callback, ...], tuple[str, ...]]:
    """The callbacks that act on a training, and the names of those that only write files.

    >>> without_writers([keras.callbacks.TerminateOnNaN(), keras.callbacks.ModelCheckpoint("best.keras")])[1]
    ('ModelCheckpoint',)
    """
    acting = tuple(one for one in callbacks if type(one) not in _WRITERS)
    return acting, tuple(type(one).__name__ for one in callbacks if type(one) in _WRITERS)


def left_out(names: Sequence[str]) -> str:
    """Why callbacks that only write files are not carried out where a model is trained many times.

    >>> left_out(["CSVLogger"])
    'CSVLogger is left out, because all trainings would write the same files. Save the model that comes out.'
    """
    verb = "are" if len(names) > 1 else "is"
    return (
        f"{' and '.join(names)} {verb} left out, because all trainings would write the same files. Save the model "
        f"that comes out."
    )


def reads_logs(callback: keras.callbacks.Callback) -> bool:
    """Whether it is a person's own code, which may look at anything that is logged."""
    return isinstance(callback, keras.callbacks.LambdaCallback) or not type(callback).__module__.startswith(
        "keras."
    )
