"""All remedies, in the order in which reports name them and combinations apply them."""

from caviar.remedies.activations import ACTIVATIONS
from caviar.remedies.averaging import AVERAGING
from caviar.remedies.batches import BATCHES
from caviar.remedies.contract import Remedy
from caviar.remedies.dropout import BESIDE_DROPOUT, DROPOUT
from caviar.remedies.embeddings import EMBEDDINGS
from caviar.remedies.ensembles import ENSEMBLES
from caviar.remedies.imbalance import IMBALANCE
from caviar.remedies.inputs import INPUTS
from caviar.remedies.mixing import MIXING
from caviar.remedies.network import NETWORK
from caviar.remedies.normalization import NORMALIZATION
from caviar.remedies.optimizers import OPTIMIZERS
from caviar.remedies.rate import RATE
from caviar.remedies.regularization import REGULARIZATION
from caviar.remedies.schedules import SCHEDULES
from caviar.remedies.training import TRAINING

REMEDIES: tuple[Remedy, ...] = (
    *INPUTS,
    *ACTIVATIONS,
    *NETWORK,
    *EMBEDDINGS,
    *OPTIMIZERS,
    *BATCHES,
    *TRAINING,
    *RATE,
    *IMBALANCE,
    *SCHEDULES,
    *DROPOUT,
    *REGULARIZATION,
    *NORMALIZATION,
    *BESIDE_DROPOUT,
    *AVERAGING,
    *MIXING,
    *ENSEMBLES,
)
