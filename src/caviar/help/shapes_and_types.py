"""Errors of arrays that do not fit: shapes, types, and targets that do not suit the loss."""

from caviar.help.known import KnownError

SHAPES_AND_TYPES = (
    KnownError(
        name="input-width",
        title="Rows of another width than the model expects",
        pattern=r"incompatible with the layer: expected (axis -?\d+|shape)|expected \S+ to have shape \(",
        means="The model was built for rows of one shape and is given rows of another; both shapes are in the "
        "message. The first number of a shape counts rows and may differ.",
        do="Compare x.shape[1:] with the shape of keras.Input. Often the target or an index is still among the "
        "columns, or categories were one-hot encoded in training and not here. Take the number from the data.",
        snippet="print(x.shape, model.input_shape)\nkeras.Input(x.shape[1:])",
    ),
    KnownError(
        name="input-rank",
        title="An array with too many or too few axes",
        pattern=r"expected (min_)?ndim=\d+, found ndim=\d+|expected \S+ to have \d+ dimensions",
        means="The layer wants arrays with another number of axes: LSTM and Conv1D want (row, step, feature), "
        "Conv2D wants (row, height, width, channel), Dense wants (row, column).",
        do="Add the axis that is missing, also to a single row that is predicted; LSTM layers that are followed "
        "by an LSTM layer need return_sequences=True.",
        snippet="steps = x[..., None]  # (row, step) becomes (row, step, 1)\none_row = x[:1]  # not x[0]",
    ),
    KnownError(
        name="sparse-target",
        title="A target and a cross-entropy of two kinds",
        pattern=r"must have the same shape up until the last dimension"
        r"|received a label value of -?\d+ which is outside|target array (of"
        r"|with) shape.{0,60}while using as loss .categorical_crossentropy"
        r"|.?sparse_categorical_crossentropy.{0,80}(rank|shape)",
        means="sparse_categorical_crossentropy wants class numbers, 0 for the first, one per row; "
        "categorical_crossentropy wants a column per class with a single 1 in each row.",
        do="Use the loss that suits the target: sparse_… for class numbers from 0, the other for one-hot rows. "
        "On JAX a class number that is too large raises nothing: look at the smallest and the largest one.",
        snippet="codes = np.array([0, 2, 1])  # with sparse_categorical_crossentropy\n"
        "# with categorical_crossentropy:\n"
        "rows = keras.utils.to_categorical(codes, 3)",
    ),
    KnownError(
        name="target-shape",
        title="The target and the output differ in shape",
        pattern=r"arguments .target. and .output. must have the same shape\. "
        r"|.?logits.? and .?labels.? must (have the same shape|be broadcastable)|target array (of"
        r"|with) shape|shapes? \(\S*, ?\S*\) and \(\S*, ?\S*\) are incompatible",
        means="The loss compares target and output number by number, and they have different shapes.",
        do="One sigmoid output goes with a target of 0 and 1. Classes from 0 to k-1 go with k softmax outputs "
        "and sparse_categorical_crossentropy; one-hot rows with k outputs and categorical_crossentropy. The "
        "last layer needs as many units as the target has columns.",
        snippet="print(y.shape, model.output_shape)\n"
        "# for class numbers and a softmax over classes:\n"
        "model.compile('adam', 'sparse_categorical_crossentropy')",
    ),
    KnownError(
        name="broadcasting",
        title="Shapes that cannot be combined",
        pattern=r"could not be broadcast together|incompatible shapes for broadcasting|incompatible shapes: \["
        r"|cannot be broadcast",
        means="Two arrays of different shapes are combined number by number. Worse is the case that raises "
        "nothing: (n,) and (n, 1) combine into (n, n).",
        do="Print both shapes in front of the line that raises, and give targets and predictions the same one "
        "before you subtract them by hand.",
        snippet="predicted = model.predict(x, verbose=0)\n"
        "print(y.shape, predicted.shape)\n"
        "error = y.reshape(-1) - predicted[:, 0]",
    ),
    KnownError(
        name="object-array",
        title="Text or mixed things in an array",
        pattern=r"invalid dtype: (object|str|string|<u)|unsupported object type"
        r"|failed to convert a numpy array to a tensor|could not convert \S+ of type object|np\.object"
        r"|dtype=?object. is not a valid jax array",
        means="The array holds text, None, or rows of different lengths; networks compute with numbers.",
        do="Encode text columns, fill gaps, then convert. An array of type object that holds nothing but "
        "numbers only needs astype. Caviar does it for tables: caviar look TABLE shows what each column is.",
        snippet="import pandas\n\n"
        "frame = pandas.DataFrame({'age': [30, 41], 'city': ['Rome', 'Oslo']})\n"
        "x = pandas.get_dummies(frame).astype('float32').to_numpy()",
    ),
    KnownError(
        name="string-to-float",
        title="A text where a number is wanted",
        pattern=r"could not convert string to float|invalid literal for int\(\)|cast string to (float|int)",
        means="A cell holds text; it is quoted at the end of the message. Often a header was read as a row, or a "
        "gap is written as '?' or 'NA', or a number has a decimal comma.",
        do="Find such cells, and encode labels and categories as numbers.",
        snippet="labels = np.array(['yes', 'no', 'yes'])\n"
        "names, codes = np.unique(labels, return_inverse=True)",
    ),
    KnownError(
        name="class-out-of-range",
        title="A class number that is too large",
        pattern=r"index \d+ is out of bounds for axis \d+ with size \d+",
        means="A number points beyond the end of an array. In to_categorical: the labels do not run from 0 to "
        "num_classes - 1; labels from 1 are the usual reason.",
        do="Renumber the labels from 0, or leave num_classes out where all classes occur.",
        snippet="labels = np.array([1, 2, 3])\n"
        "names, codes = np.unique(labels, return_inverse=True)\n"
        "rows = keras.utils.to_categorical(codes, len(names))",
    ),
    KnownError(
        name="list-input",
        title="Lists in place of arrays",
        pattern=r"unrecognized data type: x=|failed to find data adapter|data adapter that can handle input",
        means="fit takes arrays, data frames and datasets; a list means several inputs to it.",
        do="Convert lists to arrays.",
        snippet="x = np.asarray(x, dtype='float32')\ny = np.asarray(y)",
    ),
    KnownError(
        name="cardinality",
        title="Arrays of different lengths",
        pattern=r"data cardinality is ambiguous|inconsistent numbers of samples|same number of samples",
        means="x, y and the weights must have one entry for each row; the message shows how many they have.",
        do="Select rows in all of them at once, as train_test_split does.",
        snippet="keep = np.isfinite(x).all(axis=1)\nx, y = x[keep], y[keep]",
    ),
    KnownError(
        name="unknown-size",
        title="A size that must be known",
        pattern=r"must be fully-defined|last dimension of the inputs to .?dense.? should be defined"
        r"|batch size must be static",
        means="A layer creates its weights and does not know how wide its input is, because Input says None there.",
        do="Give Input numbers on all axes that Dense or Flatten see; use a pooling layer over an axis of any "
        "length. stateful=True needs batch_shape.",
        snippet="# any number of steps, for LSTM and pooling, not for Flatten:\n"
        "keras.Input((None, 3))\n"
        "# for stateful=True:\n"
        "keras.Input(batch_shape=(32, 10, 3))",
    ),
    KnownError(
        name="shape-not-tuple",
        title="A shape that is no tuple",
        pattern=r"cannot convert '\S+' to a shape",
        means="A shape was given as a number: (8) is the number 8, (8,) is a shape.",
        do="Write the comma.",
        snippet="keras.Input((8,))",
    ),
    KnownError(
        name="image-too-small",
        title="Nothing is left after a convolution or a pooling",
        pattern=r"computed output size would be (zero or )?negative|negative dimension size",
        means="Each convolution without padding and each pooling makes the image smaller, and it has run out.",
        do="Use padding='same', smaller kernels or fewer poolings, and check where the channels stand: the last "
        "axis by default.",
        snippet="keras.layers.Conv2D(16, 3, padding='same')",
    ),
    KnownError(
        name="merged-shapes",
        title="Layers that merge inputs of different shapes",
        pattern=r"layer requires inputs with matching shapes|inputs have incompatible shapes\. received shapes",
        means="Add and its like want inputs of one shape; Concatenate wants shapes that differ on its axis only.",
        do="Bring both to one shape first, with Dense or Reshape, or choose another axis.",
        snippet="left, right = keras.Input((3,)), keras.Input((4,))\n"
        "keras.layers.Add()([left, keras.layers.Dense(3)(right)])",
    ),
    KnownError(
        name="metric-target",
        title="A metric that wants another target",
        pattern=r"metrics can't handle a mix of|expects 2d inputs with shape",
        means="The metric compares classes with probabilities, or class numbers with one-hot rows.",
        do="Turn probabilities into classes before scikit-learn's metrics. F1Score of Keras wants one-hot rows, "
        "or a column of 0 and 1.",
        snippet="classes = model.predict(x, verbose=0).argmax(axis=1)",
    ),
)
