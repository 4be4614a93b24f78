"""Errors and warnings of compiling and training, and of what is used beside it."""

from caviar.help.known import KnownError

TRAINING = (
    KnownError(
        name="not-compiled",
        title="A model that is not compiled",
        pattern=r"must call .compile\(.*?\). before|must compile (your|a) model|must be compiled before",
        means="fit and evaluate need an optimizer and a loss. A model loaded with compile=False, and a copy made "
        "by clone_model, have none.",
        do="Compile it first; compile again after layers were frozen.",
        snippet="model.compile(\n"
        "    optimizer='adam',\n"
        "    loss='sparse_categorical_crossentropy',\n"
        "    metrics=['accuracy'],\n"
        ")",
    ),
    KnownError(
        name="history-keys",
        title="Names in history.history",
        pattern=r"keyerror: '(val_)?(acc|accuracy|loss|mae|mean_absolute_error|auc|lr)'",
        means="history.history has the names that compile was given, so metrics=['accuracy'] makes accuracy and "
        "val_accuracy, no longer acc. Names with val_ are there only if fit had validation data; the rate is "
        "learning_rate, not lr.",
        do="Look at the names that are there.",
        snippet="history = model.fit(x, y, validation_split=0.2, verbose=0)\nprint(list(history.history))",
    ),
    KnownError(
        name="monitor-missing",
        title="A callback watches what is not there",
        pattern=r"(conditioned on metric|can save best model only with) .{0,40}(not available|available)"
        r"|isn't able to automatically determine whether that metric",
        means="The callback monitors a name that training does not record, and then does nothing: training runs to "
        "the end. val_loss needs validation data.",
        do="Pass validation_data or validation_split to fit, and write the name as history has it: "
        "val_accuracy, not val_acc.",
        snippet="stop = keras.callbacks.EarlyStopping(\n"
        "    monitor='val_loss', patience=10, restore_best_weights=True\n"
        ")\n"
        "model.fit(x, y, validation_split=0.2, callbacks=[stop], verbose=0)",
    ),
    KnownError(
        name="validation-split",
        title="validation_split beside a dataset or generator",
        pattern=r"validation_split. is only supported for|validation_split.{0,60}(generator|dataset)",
        means="fit can cut off the last rows of arrays, not of something that hands out batches.",
        do="Make two datasets, and pass the second as validation_data.",
        snippet="cut = int(0.8 * len(x))\n"
        "model.fit(x[:cut], y[:cut], validation_data=(x[cut:], y[cut:]), verbose=0)",
    ),
    KnownError(
        name="target-beside-dataset",
        title="y beside a dataset",
        pattern=r"when providing .x. as a|.y. argument is not supported when using",
        means="A dataset or generator gives inputs and targets together.",
        do="Let it yield pairs (x, y), and leave y out of fit.",
        snippet="def batches():\n"
        "    while True:\n"
        "        yield x, y\n\n"
        "model.fit(batches(), steps_per_epoch=2, shuffle=False, verbose=0)",
    ),
    KnownError(
        name="ran-out",
        title="A generator that ended early",
        pattern=r"your input ran out of data",
        means="Fewer batches came than steps_per_epoch times epochs; training ended, or went on with less.",
        do="Let the generator run forever (.repeat() for tf.data), or leave steps_per_epoch out for what knows "
        "its length.",
        snippet="def batches():\n"
        "    while True:\n"
        "        yield x, y\n\n"
        "model.fit(batches(), steps_per_epoch=2, epochs=3, shuffle=False)",
    ),
    KnownError(
        name="fold-random-state",
        title="random_state of StratifiedKFold or KFold",
        pattern=r"setting a random_state has no effect since shuffle is false",
        means="A seed only matters where rows are shuffled; scikit-learn refuses one without the other.",
        do="Add shuffle=True, which tables sorted by class need anyway, or leave the seed out.",
        snippet="from sklearn.model_selection import StratifiedKFold\n\n"
        "folds = StratifiedKFold(n_splits=10, shuffle=True, random_state=1)",
    ),
    KnownError(
        name="nan-loss",
        title="A loss that is not a number",
        pattern=r"\bloss\b\S?\s?(:|=|is|becomes|became|turns|goes)?\s?(to )?nan\b|invalid loss, terminating|nan (as a "
        r"|training |validation )?loss\b",
        means="Some step computed with infinity or with a missing value, and all weights are lost from then on. "
        "The usual reasons: gaps in x or y, a learning rate that is too high, inputs that are not scaled, a "
        "logarithm of 0, class numbers beyond the last output.",
        do="Check the arrays first, then scale inputs and lower the rate. caviar lr-range TABLE finds the rate "
        "from which training breaks; caviar diagnose TABLE --model file.py:build names the reason.",
        snippet="print(np.isfinite(x).all(), np.isfinite(y).all())\n"
        "print(abs(x).max(), y.min(), y.max())\n"
        "optimizer = keras.optimizers.Adam(1e-4, clipnorm=1.0)",
    ),
    KnownError(
        name="identifier",
        title="A name that Keras does not know",
        pattern=r"could not interpret (loss|optimizer|metric|activation( function)?|initializer|regularizer"
        r"|constraint)|unknown (loss|optimizer|metric|activation|initializer):",
        means="The text names no loss, optimizer, metric, activation or initializer of Keras: mostly it is "
        "misspelled.",
        do="Correct the spelling, or pass the object itself, which an editor can complete. Do not mix "
        "tensorflow.keras and keras: their objects are strangers to each other.",
        snippet="loss = keras.losses.SparseCategoricalCrossentropy()\n"
        "model.compile(keras.optimizers.Adam(), loss)",
    ),
    KnownError(
        name="from-logits",
        title="from_logits and the last activation",
        pattern=r"from_logits=true",
        means="The loss expects raw numbers and applies the softmax or sigmoid itself, but the last layer has "
        "applied one already. Training still runs, only worse. On JAX nothing warns.",
        do="Have one of the two: from_logits=True and no last activation, or the activation and "
        "from_logits=False.",
        snippet="last = keras.layers.Dense(3)  # no activation\n"
        "loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)",
    ),
    KnownError(
        name="softmax-of-one",
        title="A softmax over one output",
        pattern=r"softmax over axis -?\d+ of a tensor of shape|num_classes. with num_classes > 1"
        r"|always return the value 1",
        means="A softmax over a single unit is always 1: the network cannot learn anything.",
        do="For two classes use one unit with sigmoid and binary_crossentropy.",
        snippet="model = keras.Sequential(\n"
        "    [keras.Input((8,)), keras.layers.Dense(1, activation='sigmoid')]\n"
        ")\n"
        "model.compile('adam', 'binary_crossentropy')",
    ),
    KnownError(
        name="class-weight",
        title="class_weight that is no dict of class numbers",
        pattern=r"'str' object has no attribute 'get'|.class_weight. (must|should)|class_weight.{0,60}(dict"
        r"|keys)",
        means="fit wants class_weight as a dict from class number to weight; 'balanced' is scikit-learn's word.",
        do="Compute the weights, and give every class one.",
        snippet="counts = np.bincount(y)\n"
        "class_weight = {i: len(y) / len(counts) / n for i, n in enumerate(counts)}",
    ),
    KnownError(
        name="backend",
        title="The backend of Keras",
        pattern=r"no module named '?(tensorflow|torch|jax)'?( |$)|unable to import backend|keras_backend"
        r"|expected keras on its jax backend",
        means="Keras 3 computes with JAX, TensorFlow or PyTorch, as KERAS_BACKEND or ~/.keras/keras.json says, and "
        "the one chosen is not installed, or not the one that is wanted. Imports of tensorflow need "
        "TensorFlow in any case.",
        do="Set KERAS_BACKEND before keras is imported first, and install that backend; import keras, not "
        "tensorflow.keras. Caviar trains on JAX: import it before keras.",
        snippet="import os\n\n# above `import keras`:\nos.environ['KERAS_BACKEND'] = 'jax'\nimport keras",
    ),
    KnownError(
        name="not-a-layer",
        title="Something that is no layer in Sequential",
        pattern=r"only instances of .?keras\.layer.? can be added|added layer must be an instance of class layer",
        means="The list holds a class without its brackets, a text, None, or a layer of another package, such as "
        "tensorflow.keras beside keras.",
        do="Put brackets behind the class, and import everything from keras.",
        snippet="keras.Sequential(\n"
        "    [keras.Input((8,)), keras.layers.Flatten(), keras.layers.Dense(1)]\n"
        ")",
    ),
    KnownError(
        name="symbolic-tensor",
        title="A placeholder used as a number",
        pattern=r"kerastensor (is symbolic|cannot be used)|symbolic kerastensor|cannot convert a symbolic",
        means="What Input returns has a shape and no numbers, so NumPy, TensorFlow and if cannot work with it.",
        do="Use keras.ops, or put the computation into the call of a layer of your own.",
        snippet="inputs = keras.Input((8,))\noutputs = keras.ops.log(inputs)",
    ),
    KnownError(
        name="traced-value",
        title="Python that depends on a number inside the network",
        pattern=r"_error_repr|tracer(bool|array|integer)conversionerror|concretizationtypeerror|concrete value"
        r"|leaked trac|unexpectedtracererror",
        means="JAX compiles call and losses before there are numbers: if, float, int and NumPy cannot look at "
        "them. Keras may hide this behind a message about _error_repr.",
        do="Use keras.ops.where or keras.ops.cond, and keras.ops in place of NumPy. To see the real message, "
        "switch the filter off as below.",
        snippet="keras.config.disable_traceback_filtering()\nsigned = keras.ops.where(x > 0, x, -x)",
    ),
    KnownError(
        name="optimizer-reused",
        title="One optimizer for two models",
        pattern=r"unknown variable: <|optimizer can only be called for the variables"
        r"|optimizer cannot recognize variable",
        means="An optimizer keeps numbers for each weight of the model that it met first, and cannot serve another "
        "one; in a loop over folds the optimizer was made outside.",
        do="Make a new optimizer with each model: inside the builder.",
        snippet="def build():\n"
        "    network = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])\n"
        "    network.compile(keras.optimizers.Adam(1e-3), 'mse')\n"
        "    return network",
    ),
    KnownError(
        name="super-init",
        title="A class without super().__init__()",
        pattern=r"forgot to call .super\(|does not have a .call\(\). method implemented",
        means="A layer or model class of yours does not call the __init__ of its parent first, or has no call.",
        do="Begin __init__ with super().__init__(**kwargs), and write call.",
        snippet="class Half(keras.layers.Layer):\n"
        "    def __init__(self, **kwargs):\n"
        "        super().__init__(**kwargs)\n\n"
        "    def call(self, inputs):\n"
        "        return inputs / 2",
    ),
    KnownError(
        name="memory",
        title="Out of memory",
        pattern=r"resource_exhausted|out of memory|oom when allocating|memoryerror|unable to allocate \S+ [kmgtp]ib",
        means="An array did not fit into the memory of the machine or of the graphics card; the message often says "
        "how large.",
        do="Use smaller batches and float32, predict in batches, and look for an array of shape (n, n) that "
        "should be (n,). Other processes may hold the memory: JAX takes three quarters of a graphics card "
        "when it starts.",
        snippet="import os\n\n"
        "# above `import keras`:\n"
        "os.environ['XLA_PYTHON_CLIENT_PREALLOCATE'] = 'false'\n"
        "model.predict(x, batch_size=32, verbose=0)",
    ),
    KnownError(
        name="matplotlib-pad",
        title="pad of a plot's title",
        pattern=r"unknown property.{0,8}\bpad\b|no property.{0,8}\bpad\b",
        means="The distance between a title and its plot, pad, came with Matplotlib 2.2: the installed one is "
        "older.",
        do="Update Matplotlib, or leave pad out.",
        snippet="# pyplot.title(**title), with Matplotlib 2.2 or later:\n"
        "title = {'label': 'Loss', 'pad': 20}",
    ),
    KnownError(
        name="plot-model",
        title="Drawing a model",
        pattern=r"install (pydot|graphviz)|you must install pydot",
        means="plot_model needs the Python package pydot and the program Graphviz.",
        do="Install both, or print the summary.",
        snippet="model.summary()",
    ),
)
