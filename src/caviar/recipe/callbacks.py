"""Which callbacks did a person give? One or several, as Keras takes them."""

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
