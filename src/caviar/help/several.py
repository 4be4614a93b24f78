"""Errors of models that take several arrays, or return several."""

from caviar.help.known import KnownError

SEVERAL = (
    KnownError(
        name="several-inputs",
        title="A model that takes several arrays, and data that are not so many",
        pattern=r"missing data for input|expects \d+ (named )?input\(s\)"
        r"|structure of .?inputs.? doesn.?t match the expected structure",
        means="A model with several Inputs takes one array for each: a list in the order in which they stand in "
        "keras.Model, or a dictionary where that got one. A model with one Input takes one array.",
        do="Give fit, predict and evaluate the inputs in the form that keras.Model got them, each with all rows, and "
        "compare the keys of a dictionary with the names of the Inputs.",
        snippet="left = keras.Input((4,), name='left')\n"
        "right = keras.Input((2,), name='right')\n"
        "joined = keras.layers.Concatenate()([left, right])\n"
        "outputs = keras.layers.Dense(1)(joined)\n"
        "two = keras.Model({'left': left, 'right': right}, outputs)\n"
        "two.compile('adam', 'mse')\n"
        "two.fit({'left': x, 'right': x[:, :2]}, y, verbose=0)",
    ),
    KnownError(
        name="several-outputs",
        title="A model that returns several arrays, and targets or losses that are not so many",
        pattern=r"y_true and y_pred have different structures|in the .loss. argument, can.?t be found"
        r"|in loss dict, but found|invalid .(weighted_)?metrics.\. |.loss_weights. must match the number of losses"
        r"|one .sample_weight. array per output|.class_weight. is only supported for models with a single output",
        means="Targets, losses, metrics and weights of rows go with the outputs: as many, in the same form, under the "
        "same keys. class_weight is for models with one output.",
        do="Write all of them as dictionaries with the keys that keras.Model got for its outputs. In place of "
        "class_weight give the rows of one output weights: sample_weight with the same keys.",
        snippet="inputs = keras.Input((4,))\n"
        "price = keras.layers.Dense(1, name='price')(inputs)\n"
        "kind = keras.layers.Dense(2, 'softmax', name='kind')(inputs)\n"
        "two = keras.Model(inputs, {'price': price, 'kind': kind})\n"
        "two.compile(\n"
        "    'adam',\n"
        "    loss={'price': 'mse', 'kind': 'sparse_categorical_crossentropy'},\n"
        "    metrics={'kind': ['accuracy']},\n"
        ")\n"
        "two.fit(x, {'price': x[:, 0], 'kind': y}, verbose=0)",
    ),
)
