"""All experiments, in the order in which they are run.

Training longer is not among them: the trial measures it, as the remedy `longer`, on all folds.
"""

from caviar.experiments import differences, one_batch, permuted, range_test
from caviar.experiments.contract import Experiment

EXPERIMENTS: tuple[Experiment, ...] = (
    Experiment(
        "finite-differences",
        "Finite differences",
        "No members: in a process of its own, in double precision, the model's training step on 32 rows, beside "
        "central differences of the loss along 3 random directions of every weight array.",
        "differences",
        "Code of a person's own that computes other gradients than those of its loss, from all other reasons not to "
        "learn. Run where layers, activations, the loss or the training step are a person's own, and the builder can "
        "be imported.",
        "Goodfellow et al., Deep Learning (2016), 11.5",
        differences.worth,
        differences.steps,
        differences.finite_differences,
        differences.in_words,
    ),
    Experiment(
        "overfit-one-batch",
        "Overfit one batch",
        "6 members: 2 seeds at a tenth of the rate, the rate and ten times the rate, 400 steps on the same 32 rows.",
        "one_batch",
        "A network that is wired so that it cannot learn, from one that only does not get there. Run where training "
        "rows are not fitted.",
        "Goodfellow et al., Deep Learning (2016), 11.5; Karpathy, A recipe for training neural networks (2019)",
        one_batch.worth,
        one_batch.steps,
        one_batch.overfit_one_batch,
        one_batch.in_words,
    ),
    Experiment(
        "permuted-labels",
        "Permuted labels",
        "3 members: the recipe as it is, 3 seeds of one fold, with targets dealt out anew at random.",
        "permuted",
        "Learning by heart from learning, and what is scored by chance. Run where training rows are fitted better than "
        "others, where they are few, or where nothing beats a constant.",
        "Zhang et al., Understanding deep learning requires rethinking generalization (2017); Ojala & Garriga, "
        "Permutation tests (2010)",
        permuted.worth,
        permuted.steps,
        permuted.permuted_labels,
        permuted.in_words,
    ),
    Experiment(
        "range-test",
        "Range test of the learning rate",
        "3 seeds of one fold at each of about 13 constant rates, 0.00001 to 10, for half of the epochs.",
        "range_test",
        "A wrong rate from other reasons to learn slowly or to diverge, and which rate to try. Run where something was "
        "seen that a wrong rate can cause.",
        "Smith, Cyclical learning rates (2017), 3.3; Bengio, Practical recommendations (2012)",
        range_test.worth,
        range_test.steps,
        range_test.range_test,
        range_test.in_words,
    ),
)
