"""Layers that Keras does not bring: noisy weights, numbers as waves or as steps, and the mean of several networks.

All are ordinary Keras layers on any backend and load in safe mode; import this module before loading a model that
holds them, as Keras asks for every class that is not its own.
"""

import math
import statistics
from typing import Any

import keras
from keras import ops

from caviar.recipe.heads import Link


@keras.saving.register_keras_serializable(package="caviar")
class NoisyDense(keras.layers.Dense):
    """A dense layer whose kernel is disturbed by Gaussian noise, drawn anew in every training step.

    Args:
        units: As in `Dense`.
        deviation: Standard deviation of the noise, 0 or more.
        seed: Of the noise.
        settings: Everything else that `Dense` takes.

    Source: Graves, *Practical variational inference for neural networks*, NIPS 2011, section 3.3.

    >>> layer = NoisyDense(2, deviation=0.5, kernel_initializer="ones")
    >>> ops.convert_to_numpy(layer(ops.ones((1, 3)))).tolist()
    [[3.0, 3.0]]
    """

    def __init__(
        self,
        units: int,
        *,
        deviation: float = 0.075,
        seed: int | None = None,
        **settings: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(units, **settings)
        self.deviation, self.seed = deviation, seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: Any, training: bool | None = None) -> Any:  # noqa: ANN401, FBT001 - as Keras has it
        """Activations (row, unit) of inputs (row, input)."""
        if not training:
            return super().call(inputs)
        kernel = ops.convert_to_tensor(self.kernel)
        noise = keras.random.normal(
            ops.shape(kernel), stddev=self.deviation, dtype=kernel.dtype, seed=self.seed_generator
        )
        sums = ops.matmul(inputs, kernel + noise)
        if self.bias is not None:
            sums = ops.add(sums, self.bias)
        return sums if self.activation is None else self.activation(sums)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this layer again."""
        return super().get_config() | {"deviation": self.deviation, "seed": self.seed}


@keras.saving.register_keras_serializable(package="caviar")
class PeriodicEmbedding(keras.layers.Layer):
    """Each number as sines and cosines of learned frequencies, mixed by weights of its own: PLR embeddings.

    (row, input) becomes (row, input · width).

    Args:
        frequencies: Frequencies of each input.
        width: Numbers that each input becomes.
        deviation: Standard deviation of the first frequencies, for inputs of about unit size: the larger, the finer
            the differences that the network tells apart from the start.
        settings: What any layer takes.

    Source: Gorishniy et al., *On embeddings for numerical features in tabular deep learning*, NeurIPS 2022, section
    3.3; the default deviation is that of RealMLP (Holzmüller et al., 2024).

    >>> PeriodicEmbedding(frequencies=4, width=3)(ops.ones((5, 2))).shape
    (5, 6)
    """

    def __init__(
        self,
        frequencies: int = 16,
        width: int = 8,
        deviation: float = 0.1,
        **settings: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(**settings)
        self.frequencies, self.width, self.deviation = frequencies, width, deviation

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Draw first frequencies and weights."""
        inputs, waves = input_shape[-1], 2 * self.frequencies
        # Not called kernels: these weights are no layer of units that could be widened, dropped or penalised.
        self.frequency = self.add_weight(
            name="frequency",
            shape=(inputs, self.frequencies),
            initializer=keras.initializers.RandomNormal(stddev=self.deviation),
        )
        limit = 1 / math.sqrt(waves)
        self.mixing = self.add_weight(
            name="mixing",
            shape=(inputs, waves, self.width),
            initializer=keras.initializers.RandomUniform(-limit, limit),
        )
        self.bias = self.add_weight(name="bias", shape=(inputs, self.width), initializer="zeros")

    def call(self, inputs: Any) -> Any:  # noqa: ANN401
        """Embeddings (row, input · width) of inputs (row, input)."""
        angles = 2 * math.pi * ops.expand_dims(inputs, -1) * self.frequency
        waves = ops.concatenate([ops.sin(angles), ops.cos(angles)], axis=-1)
        mixed = ops.relu(ops.einsum("bnk,nkd->bnd", waves, self.mixing) + self.bias)
        return ops.reshape(mixed, (-1, mixed.shape[1] * self.width))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """(row, input · width)."""
        return (input_shape[0], (input_shape[-1] or 0) * self.width)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this layer again."""
        own = {"frequencies": self.frequencies, "width": self.width, "deviation": self.deviation}
        return super().get_config() | own


@keras.saving.register_keras_serializable(package="caviar")
class PiecewiseLinear(keras.layers.Layer):
    """Each number as how far it has come through each of several bins: 0 before a bin, 1 behind it, linear within.

    (row, input) becomes (row, input · bins). Nothing is learned: the bins hold equal shares of a standard normal
    distribution, so that inputs made normal by their ranks lie in all of them equally often. The first bin has no lower
    end and the last no upper one.

    Args:
        bins: Of each input, at least two.
        settings: What any layer takes.

    Source: Gorishniy et al., *On embeddings for numerical features in tabular deep learning*, NeurIPS 2022, section
    3.2.

    >>> steps = ops.convert_to_numpy(PiecewiseLinear(bins=4)(ops.zeros((1, 1))))
    >>> steps.tolist()
    [[1.0, 1.0, 0.0, 0.0]]
    """

    def __init__(self, bins: int = 8, **settings: Any) -> None:  # noqa: ANN401
        super().__init__(**settings)
        self.bins = bins
        normal = statistics.NormalDist()
        inner = [normal.inv_cdf(i / bins) for i in range(1, bins)]
        # The outermost bins have no end of their own: a twentieth of their rows lies beyond what counts as it.
        ends = normal.inv_cdf(0.05 / bins), normal.inv_cdf(1 - 0.05 / bins)
        self._edges = [ends[0], *inner, ends[1]]

    def call(self, inputs: Any) -> Any:  # noqa: ANN401
        """Steps (row, input · bins) of inputs (row, input)."""
        low, high = (ops.convert_to_tensor(e, inputs.dtype) for e in (self._edges[:-1], self._edges[1:]))
        passed = (ops.expand_dims(inputs, -1) - low) / (high - low)
        below = ops.convert_to_tensor([-math.inf] + [0.0] * (self.bins - 1), inputs.dtype)
        above = ops.convert_to_tensor([1.0] * (self.bins - 1) + [math.inf], inputs.dtype)
        return ops.reshape(ops.clip(passed, below, above), (-1, inputs.shape[1] * self.bins))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """(row, input · bins)."""
        return (input_shape[0], (input_shape[-1] or 0) * self.bins)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this layer again."""
        return super().get_config() | {"bins": self.bins}


@keras.saving.register_keras_serializable(package="caviar")
class MeanOutput(keras.layers.Layer):
    """The mean of what several networks say, as one network of their kind would say it.

    A list of outputs, each (row, output), becomes one. Logits become those of the mean of their probabilities;
    everything else is averaged as it is.

    Args:
        link: What the outputs are.
        settings: What any layer takes.

    >>> sure, unsure = ops.array([[8.0]]), ops.array([[0.0]])
    >>> float(ops.sigmoid(MeanOutput("sigmoid")([sure, unsure]))[0, 0])
    0.7498...
    """

    def __init__(self, link: Link, **settings: Any) -> None:  # noqa: ANN401
        super().__init__(**settings)
        self.link = link

    def call(self, inputs: Any) -> Any:  # noqa: ANN401
        """The mean (row, output) of a list of outputs (row, output)."""
        said = ops.stack(inputs)
        if self.link == "sigmoid":
            return ops.logsumexp(ops.log_sigmoid(said), axis=0) - ops.logsumexp(
                ops.log_sigmoid(-said), axis=0
            )
        if self.link == "softmax":
            return ops.logsumexp(ops.log_softmax(said), axis=0) - math.log(len(inputs))
        return ops.mean(said, axis=0)

    def compute_output_shape(self, input_shape: list[tuple[int | None, ...]]) -> tuple[int | None, ...]:
        """(row, output)."""
        return input_shape[0]

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this layer again."""
        return super().get_config() | {"link": self.link}
