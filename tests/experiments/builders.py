"""Builders that another process can import: some with code of their own that is right, some with wrong gradients."""

import keras


@keras.saving.register_keras_serializable("caviar-tests")
class Stopped(keras.layers.Dense):
    """A dense layer through which no gradient reaches the layers before it."""

    def call(self, inputs):
        return super().call(keras.ops.stop_gradient(inputs))


def right_loss(y, said):
    return keras.ops.mean(keras.ops.square(y - said), axis=-1)


def wrong_loss(y, said):
    """Its value is the square, its gradient that of the absolute error times ten."""
    size = 10 * keras.ops.abs(y - said)
    return keras.ops.mean(size + keras.ops.stop_gradient(keras.ops.square(y - said) - size), axis=-1)


class Backwards(keras.Sequential):
    """A training step that climbs."""

    def train_step(self, state, data):
        logs, new = super().train_step(state, data)
        climbed = [2 * old - after for old, after in zip(state[0], new[0], strict=True)]
        return logs, (climbed, *new[1:])


def network(loss="mse", middle=keras.layers.Dense, kind=keras.Sequential):
    layers = [keras.Input((3,)), keras.layers.Dense(8, "relu"), middle(8, "relu"), keras.layers.Dense(1)]
    model = kind([*layers[:-1], keras.layers.Dropout(0.2), keras.layers.BatchNormalization(), layers[-1]])
    model.compile(keras.optimizers.Adam(0.01), loss)
    return model


def with_right_loss():
    return network(right_loss)


def with_wrong_loss():
    return network(wrong_loss)


def with_stopped_layer():
    return network(middle=Stopped)


def with_backward_step():
    return network(kind=Backwards)


def with_rough_weights():
    """Its weights have a precision of their own, so that differences would be rounding."""
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, dtype="float32")])
    model.compile("sgd", right_loss)
    return model
