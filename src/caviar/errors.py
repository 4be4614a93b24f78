"""Everything a user can be told went wrong: what was expected, what was seen, what to do."""


class CaviarError(Exception):
    """Base of all errors that Caviar raises on purpose; the command line prints them as one sentence."""


class DataError(CaviarError):
    """The table or arrays cannot be used as given."""


class ModelError(CaviarError):
    """The model builder failed or returned something that cannot be trained."""


class NoPopulationError(ModelError):
    """A person's code does, whatever it is set to, what cannot be carried out for a population."""


class OptionError(CaviarError):
    """An option is unknown, out of range, or contradicts another one."""


class RunError(CaviarError):
    """A run's folder is missing, incomplete, written by something else, or cannot be written."""


class BackendError(CaviarError):
    """Keras or JAX is already set up in this process in a way that Caviar cannot use."""
