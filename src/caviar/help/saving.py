"""Errors of models and weights that are saved or loaded."""

from caviar.help.known import KnownError

SAVING = (
    KnownError(
        name="lambda-layer",
        title="A Lambda layer in a saved model",
        pattern=r"deserialization of a .lambda. layer|.?lambda.? layer.{0,60}safe_mode",
        means="A saved Lambda layer holds Python code that would run when the file is loaded; Keras refuses that.",
        do="Switch safe_mode off in load_model only if you saved the file yourself. Better: write the function "
        "as a layer class, or use keras.layers.Rescaling and the like, and save again.",
        snippet="@keras.saving.register_keras_serializable()\n"
        "class Double(keras.layers.Layer):\n"
        "    def call(self, inputs):\n"
        "        return inputs * 2",
    ),
    KnownError(
        name="unknown-layer",
        title="A class or function of yours in a saved model",
        pattern=r"unknown (layer|loss function|metric function|activation function|object|optimizer)\b"
        r"|could not locate (class|function)|could not be deserialized properly|custom_object_scope"
        r"|string indices must be integers, not 'str'",
        means="The file names a layer, loss or metric that is not part of Keras, or one whose __init__ takes what "
        "its get_config does not return.",
        do="Import the code that defines it, with the decorator below, before you load; or pass custom_objects. "
        "For prediction alone compile=False skips losses and metrics.",
        snippet="@keras.saving.register_keras_serializable()\n"
        "class Scaled(keras.layers.Layer):\n"
        "    def __init__(self, factor, **kwargs):\n"
        "        super().__init__(**kwargs)\n"
        "        self.factor = factor\n\n"
        "    def call(self, inputs):\n"
        "        return inputs * self.factor\n\n"
        "    def get_config(self):\n"
        "        return {**super().get_config(), 'factor': self.factor}\n\n"
        "model.save('model.keras')\n"
        "model = keras.models.load_model('model.keras', compile=False)",
    ),
    KnownError(
        name="h5-metrics",
        title="Losses and metrics of an .h5 file",
        pattern=r"could not deserialize 'keras\.(metrics|losses)\.\w+'",
        means="An .h5 file written with metrics=['mse'] or the like names functions that Keras 3 does not find "
        "again.",
        do="Load it with compile=False, compile it anew, and save it as .keras.",
        snippet="model.save('old.h5')\n"
        "model = keras.models.load_model('old.h5', compile=False)\n"
        "model.compile('adam', 'mse', metrics=['mae'])\n"
        "model.save('new.keras')",
    ),
    KnownError(
        name="file-name",
        title="The ending of a file's name",
        pattern=r"must end in .\.(keras|weights\.h5)|invalid filepath extension|the filename must end in"
        r"|file format not supported|.?save_format.? argument is deprecated"
        r"|unable to .{0,20}open file \(file signature not found",
        means="Keras 3 tells formats by the ending: .keras for a model, .weights.h5 for weights alone. It cannot "
        "load TensorFlow's SavedModel folders.",
        do="Rename: ModelCheckpoint wants .keras, and .weights.h5 with save_weights_only=True. A SavedModel is "
        "read as keras.layers.TFSMLayer, or loaded and saved again with the version that wrote it.",
        snippet="keras.callbacks.ModelCheckpoint('best.keras', save_best_only=True)\n"
        "model.save('model.keras')\n"
        "model.save_weights('model.weights.h5')",
    ),
    KnownError(
        name="no-such-model",
        title="A file that is not there, or no model",
        pattern=r"file not found: filepath=|unable to .{0,20}open file \(unable to open file",
        means="There is no file of this name, seen from the folder in which Python runs; or it is no .keras "
        "archive, as after a download that broke off.",
        do="Print the full path, and whether something is there.",
        snippet="from pathlib import Path\n\n"
        "path = Path('model.keras').resolve()\n"
        "print(path, path.exists())",
    ),
    KnownError(
        name="optimizer-not-loaded",
        title="An optimizer's state that was not loaded",
        pattern=r"skipping variable loading for optimizer",
        means="The weights are loaded, the optimizer's state is not: another optimizer, or one that has not "
        "trained yet. For prediction that does not matter; training goes on as after a fresh start of the "
        "optimizer.",
        do="To go on training, save and load the whole model as .keras, and compile it nowhere in between.",
        snippet="model.fit(x, y, verbose=0)\n"
        "model.save('model.keras')\n"
        "model = keras.models.load_model('model.keras')\n"
        "model.fit(x, y, verbose=0)  # goes on where it was",
    ),
    KnownError(
        name="other-weights",
        title="Weights of another network",
        pattern=r"objects could not be loaded|weight list of length|layer count mismatch"
        r"|shape of the target variable and the shape of the target value|cannot assign to variable",
        means="The file holds weights of other shapes, or of other layers, than this model has.",
        do="Build the model with the same layers and widths as the saved one, or load the whole model from "
        ".keras.",
        snippet="for weight in model.weights:\n    print(weight.path, weight.shape)",
    ),
    KnownError(
        name="not-built",
        title="A model or layer that has no weights yet",
        pattern=r"has not yet been built|the layer isn't built|has never been called|no inbound nodes"
        r"|not connected, no input|has not been built|weights for model .{0,40}have not yet been created",
        means="A model learns the shapes of its weights when it is built: by an Input, or by the first batch. "
        "Before, it has no weights, no input and no output.",
        do="Begin Sequential with keras.Input, or call build. A subclassed model needs one call on data; then "
        "load weights or ask for layers' outputs.",
        snippet="model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])\n"
        "print(model.layers[0].output)",
    ),
)
