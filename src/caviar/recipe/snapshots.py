"""How does a network that was kept at several times become one Keras model? It says the mean of what they say."""

from collections.abc import Sequence

import keras
import numpy as np

from caviar.recipe.heads import Link
from caviar.recipe.layers import MeanOutput


def mean_outputs(outputs: Sequence[np.ndarray], link: Link) -> np.ndarray:
    """The mean of several networks' outputs, each (row, output): what `mean_network` of them would say.

    Args:
        outputs: One array per network.
        link: What they are.
    """
    if len(outputs) == 1:
        return outputs[0]
    return np.asarray(MeanOutput(link)([keras.ops.convert_to_tensor(one) for one in outputs]))


def mean_network(networks: Sequence[keras.Model], link: Link, x: np.ndarray) -> keras.Model:
    """One model that says the mean of what several say, in the form in which each of them says it.

    Args:
        networks: Of one architecture; each becomes a layer, `snapshot_1`, `snapshot_2` …
        link: What their outputs are.
        x: A few inputs (row, …), which fix shape and type.
    """
    if len(networks) == 1:
        return networks[0]
    for number, network in enumerate(networks, start=1):
        network.name = f"snapshot_{number}"
    inputs = keras.Input(x.shape[1:], dtype=str(x.dtype))
    return keras.Model(inputs, MeanOutput(link)([network(inputs) for network in networks]))
