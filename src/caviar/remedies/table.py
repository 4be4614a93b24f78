"""All remedies, in the order in which reports name them."""

from caviar.remedies.contract import Remedy
from caviar.remedies.ensembles import ENSEMBLES
from caviar.remedies.inputs import INPUTS
from caviar.remedies.network import NETWORK
from caviar.remedies.optimizers import OPTIMIZERS
from caviar.remedies.rate import RATE
from caviar.remedies.regularization import REGULARIZATION
from caviar.remedies.schedules import SCHEDULES
from caviar.remedies.training import TRAINING

REMEDIES: tuple[Remedy, ...] = (
    *INPUTS,
    *NETWORK,
    *OPTIMIZERS,
    *TRAINING,
    *RATE,
    *SCHEDULES,
    *REGULARIZATION,
    *ENSEMBLES,
)
