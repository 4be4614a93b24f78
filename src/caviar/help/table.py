"""Which errors are known: the visible table, in the order in which they are told."""

from caviar.help.old_names import OLD_NAMES
from caviar.help.saving import SAVING
from caviar.help.several import SEVERAL
from caviar.help.shapes_and_types import SHAPES_AND_TYPES
from caviar.help.training import TRAINING

KNOWN_ERRORS = (*OLD_NAMES, *SEVERAL, *SHAPES_AND_TYPES, *SAVING, *TRAINING)
