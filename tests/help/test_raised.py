"""Facts about errors that are read from texts, and about when two of them are the same."""

import pytest

from caviar.help.raised import Raised, read_raised

WRAPPED = (
    "Exception encountered when calling Sequential.call().\n\n\x1b[1mInput 0 with name 'None' of layer 'dense_12' is "
    "incompatible with the layer: expected axis -1 of input shape to have value 3, but received input with shape "
    "(12, 4)\x1b[0m\n\nArguments received by Sequential.call():\n  • inputs=jnp.ndarray(shape=(12, 4), dtype=float32)"
)
BARE = (
    "Input 0 with name 'None' of layer 'dense' is incompatible with the layer: expected axis -1 of input shape to have "
    "value 60, but received input with shape (None, 61)"
)


def test_the_last_error_of_a_traceback_is_read_with_all_its_lines():
    text = (
        f"Traceback (most recent call last):\n  File 'a.py', line 1\nKeyError: 'a'\n\nValueError: {WRAPPED}\n"
    )
    raised = read_raised(text)
    assert raised.kind == "ValueError"
    assert raised.headline.startswith("ValueError: Input 0")
    assert raised.headline.endswith("(12, 4)")


@pytest.mark.parametrize(
    "line",
    [
        "E   ValueError: too wide",
        "keras.errors.ValueError: too wide",
        "2026-01-01 12:00:00 ERROR ValueError: too wide",
        "ValueError: too wide\n\n--------------------\nFor simplicity, JAX has removed its internal frames",
    ],
)
def test_an_error_is_found_however_it_was_logged(line):
    assert read_raised(line) == Raised("ValueError", "too wide")


def test_numbers_shapes_and_wrapping_make_no_difference():
    assert Raised("ValueError", WRAPPED).is_same_as(Raised("ValueError", BARE))
    assert Raised("", BARE[:60]).is_same_as(Raised("ValueError", WRAPPED))


def test_cells_that_a_message_quotes_make_no_difference():
    mine = Raised("ValueError", "could not convert string to float: 'Rome'")
    assert mine.is_same_as(Raised("ValueError", "could not convert string to float: np.str_('a')"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Raised("ValueError", "too wide by far, it seems"), Raised("TypeError", "too wide by far, it seems")),
        (Raised("KeyError", "'acc'"), Raised("KeyError", "'age'")),
        (Raised("ValueError", BARE), Raised("ValueError", "Invalid dtype: object")),
        (
            Raised("AttributeError", "'A' object has no attribute 'lr'"),
            Raised("AttributeError", "'A' object has no attribute 'rate'"),
        ),
    ],
)
def test_other_errors_are_other_errors(one, other):
    assert not one.is_same_as(other)
    assert not other.is_same_as(one)
