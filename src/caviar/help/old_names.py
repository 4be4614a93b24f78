"""Errors of code that was written for an older Keras: what the names are called today."""

from caviar.help.known import KnownError

OLD_NAMES = (
    KnownError(
        name="plateau-min-delta",
        title="min_delta or epsilon of ReduceLROnPlateau",
        pattern=r"(unexpected keyword argument|not recognized).{0,8}'?(min_delta|epsilon)'?"
        r"|ReduceLROnPlateau.{0,40}\b(epsilon|min_delta)\b|\bepsilon\b.{0,40}\bmin_delta\b|\bmin_delta\b.{0,40}\bepsilon\b",
        means="The smallest change that counts as progress was called epsilon in ReduceLROnPlateau until Keras 2.1 "
        "and is called min_delta since; a Keras that refuses min_delta is older than the code.",
        do="Write min_delta, with Keras 3 installed. Look for epsilon by hand: Keras 3 takes it in "
        "ReduceLROnPlateau without a word, and ignores it.",
        snippet="keras.callbacks.ReduceLROnPlateau(\n"
        "    monitor='val_loss', factor=0.1, patience=10, min_delta=1e-4\n"
        ")",
    ),
    KnownError(
        name="optimizer-lr",
        title="lr of an optimizer",
        pattern=r"not recognized: \{[^}]*'lr'|unexpected keyword argument '?lr'?|object has no attribute '_?lr'"
        r"|.lr. argument is deprecated",
        means="Optimizers take and hold learning_rate; its old name lr is gone.",
        do="Write learning_rate, in the call and wherever the optimizer's rate is read.",
        snippet="optimizer = keras.optimizers.Adam(learning_rate=1e-3)\n"
        "print(float(optimizer.learning_rate))",
    ),
    KnownError(
        name="optimizer-decay",
        title="decay of an optimizer",
        pattern=r"argument .decay. is no longer supported|decay is deprecated in the new keras optimizer"
        r"|(unexpected keyword argument|not recognized).{0,8}'?decay'?",
        means="The argument decay, which made the learning rate smaller with every step, is gone: Keras 3 warns "
        "and then trains with a constant rate.",
        do="Pass a schedule as the learning rate. InverseTimeDecay with decay_steps=1 is what decay was. "
        "weight_decay is another thing: it shrinks weights.",
        snippet="rate = keras.optimizers.schedules.InverseTimeDecay(\n"
        "    0.01, decay_steps=1, decay_rate=1e-4\n"
        ")\n"
        "optimizer = keras.optimizers.SGD(learning_rate=rate)",
    ),
    KnownError(
        name="predict-classes",
        title="predict_classes and predict_proba",
        pattern=r"no attribute '(predict_classes|predict_proba)'",
        means="Models have predict alone; it returns what the last layer returns, mostly probabilities.",
        do="Make classes from the probabilities: the largest one, or, with one sigmoid output, those above a "
        "half.",
        snippet="probabilities = model.predict(x, verbose=0)\n"
        "classes = (probabilities > 0.5).astype(int)  # one sigmoid output\n"
        "classes = probabilities.argmax(axis=1)  # a softmax over classes",
    ),
    KnownError(
        name="scikit-learn-wrappers",
        title="Keras inside scikit-learn",
        pattern=r"keras\.wrappers\.scikit_learn|cannot import name '?Keras(Classifier|Regressor)"
        r"|no module named '?scikeras|cannot clone object|keras(classifier"
        r"|regressor).{0,40}has no attribute '(__sklearn_tags__|loss)'",
        means="KerasClassifier and KerasRegressor left Keras; scikit-learn cannot copy an estimator whose "
        "arguments it cannot read back.",
        do="Use keras.wrappers.SKLearnClassifier or SKLearnRegressor with a function model(X, y). Pass "
        "fit_kwargs and look at the number of epochs: a copy that scikit-learn makes may lose them. Caviar "
        "cross-validates a builder without a wrapper: caviar improve TABLE --model file.py:build.",
        snippet="def build(X, y):\n"
        "    network = keras.Sequential()\n"
        "    network.add(keras.Input((X.shape[1],)))\n"
        "    network.add(keras.layers.Dense(1, activation='sigmoid'))\n"
        "    network.compile('adam', 'binary_crossentropy')\n"
        "    return network\n\n"
        "model = keras.wrappers.SKLearnClassifier(build, fit_kwargs={'epochs': 5})",
    ),
    KnownError(
        name="fit-arguments",
        title="Old arguments of fit and compile",
        pattern=r"unexpected keyword argument '?(nb_epochs?|nb_val_samples|samples_per_epoch|show_accuracy|class_mode"
        r"|nb_worker|pickle_safe|max_q_size|validation_steps_per_epoch)\b",
        means="fit and compile do not know this argument any more; Keras 1 did.",
        do="Write epochs for nb_epoch, steps_per_epoch for samples_per_epoch (which counts batches, not rows), "
        "and metrics=['accuracy'] in compile for show_accuracy.",
        snippet="model.fit(x, y, epochs=20, batch_size=32)",
    ),
    KnownError(
        name="fit-generator",
        title="fit_generator and its like",
        pattern=r"no attribute '(fit_generator|evaluate_generator|predict_generator)'|.fit_generator. is deprecated",
        means="fit, evaluate and predict take generators themselves; the functions of their own are gone.",
        do="Write fit. A generator that never ends needs steps_per_epoch; keras.utils.PyDataset knows its "
        "length.",
        snippet="def batches():\n"
        "    while True:\n"
        "        yield x, y\n\n"
        "model.fit(batches(), steps_per_epoch=10, epochs=2, shuffle=False)",
    ),
    KnownError(
        name="layer-arguments",
        title="Old arguments of layers",
        pattern=r"unrecognized keyword arguments passed to|missing 1 required positional argument: '(units|rate"
        r"|filters)'|keyword argument not understood:|unexpected keyword argument '?(init|[Wb]_(regularizer"
        r"|constraint)|border_mode|nb_filter|nb_row|output_dim|subsample|dim_ordering|m)\b",
        means="The layer does not know one of its arguments: most were renamed in Keras 2, others never existed.",
        do="Write kernel_initializer for init, kernel_regularizer and kernel_constraint for W_regularizer and "
        "W_constraint (bias_… for b_…), units for output_dim, rate for p, filters for nb_filter, padding for "
        "border_mode, strides for subsample, max_value for m of MaxNorm.",
        snippet="keras.layers.Dense(\n"
        "    12,\n"
        "    kernel_initializer='random_uniform',\n"
        "    kernel_regularizer=keras.regularizers.L2(1e-4),\n"
        "    kernel_constraint=keras.constraints.MaxNorm(3),\n"
        ")",
    ),
    KnownError(
        name="input-dim",
        title="input_dim and input_shape of a layer",
        pattern=r"do not pass an .input_shape.\s?/\s?.input_dim. argument|unexpected keyword argument '?input_(dim"
        r"|shape)|passed to \w+: \{[^}]*'input_(dim|shape)'",
        means="Keras wants to be told the shape of a row by an Input, not by the first layer; it still understands "
        "input_dim there, and warns.",
        do="Put keras.Input first: it takes the shape of one row, without the number of rows, as a tuple.",
        snippet="keras.Sequential(\n    [keras.Input((8,)), keras.layers.Dense(12, activation='relu')]\n)",
    ),
    KnownError(
        name="np-utils",
        title="keras.utils.np_utils",
        pattern=r"np_utils",
        means="The module np_utils is gone; what it held lies in keras.utils.",
        do="Import to_categorical from keras.utils.",
        snippet="classes = keras.utils.to_categorical([0, 2, 1], num_classes=3)",
    ),
    KnownError(
        name="text-tools",
        title="Tokenizer and the preprocessing modules",
        pattern=r"(no module named|cannot import name).{0,40}\b(keras\.preprocessing\.(text|sequence|image)"
        r"|keras_preprocessing|Tokenizer|pad_sequences|ImageDataGenerator)",
        means="The old preprocessing modules have left Keras 3, in whole or in part.",
        do="Use the layer TextVectorization for Tokenizer (it needs TensorFlow installed), "
        "keras.utils.pad_sequences, keras.utils.image_dataset_from_directory, and layers such as RandomFlip "
        "in place of ImageDataGenerator.",
        snippet="padded = keras.utils.pad_sequences([[1, 2, 3], [4]], maxlen=3)",
    ),
    KnownError(
        name="moved-names",
        title="Names that moved within Keras",
        pattern=r"no module named '?(tensorflow\.)?keras\.(layers|callbacks|models|regularizers|engine|objectives"
        r"|optimizers|legacy|utils)\.(?!np_utils)|no module named '?keras\.(engine|objectives|legacy)"
        r"|cannot import name '?(?!np_utils)\w+'? from '(tensorflow\.)?keras\.(layers|constraints|callbacks"
        r"|models|engine|utils|regularizers|initializers)'",
        means="Keras 3 has no such module, or no such name in it: layers and callbacks lie in one flat module each.",
        do="Import from keras.layers, keras.callbacks, keras.models and so on directly. CuDNNLSTM is LSTM, "
        "merge is Concatenate, Add and the like, maxnorm is MaxNorm, and JSON has replaced model_from_yaml.",
        snippet="from keras.layers import LSTM, BatchNormalization, Concatenate, Dense",
    ),
    KnownError(
        name="legacy-optimizers",
        title="keras.optimizers.legacy",
        pattern=r"keras\.optimizers\.legacy",
        means="The legacy optimizers are in the package tf_keras, not in Keras 3.",
        do="Take the optimizer of the same name from keras.optimizers; its results may differ a little.",
        snippet="optimizer = keras.optimizers.Adam(learning_rate=1e-3)",
    ),
    KnownError(
        name="backend-functions",
        title="Functions of keras.backend",
        pattern=r"module 'keras\S*backend\S*' has no attribute",
        means="In Keras 3 the computing functions of keras.backend, often imported as K, are gone.",
        do="Use keras.ops, which has the same functions under NumPy's names and runs on every backend; set a "
        "rate with optimizer.learning_rate = …, and skip sessions.",
        snippet="def squared_error(true, predicted):\n"
        "    return keras.ops.mean(keras.ops.square(true - predicted), axis=-1)",
    ),
    KnownError(
        name="checkpoint-period",
        title="period of ModelCheckpoint",
        pattern=r"unexpected keyword argument '?period",
        means="ModelCheckpoint does not count epochs with period any more.",
        do="Use save_freq='epoch', or a number of batches.",
        snippet="keras.callbacks.ModelCheckpoint('best.keras', save_freq='epoch')",
    ),
)
