"""Which command of Caviar answers a question that people ask in words."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Question:
    """Something that people ask, and what answers it.

    Attributes:
        name: What the entry is called in this table.
        about: Regular expressions, whatever the case; a question that holds all of them is this one.
        answer: What is known beforehand, in a sentence or two.
        command: What finds out the rest.
    """

    name: str
    about: tuple[str, ...]
    answer: str
    command: str

    def is_in(self, text: str) -> bool:
        """Whether a text asks this.

        >>> Question("rate", (r"learning rate",), "", "").is_in("Which learning rate is best?")
        True
        """
        return all(re.search(part, text, re.IGNORECASE) for part in self.about)


_HOW_MANY = r"how (many|much|often)|number of|enough|sufficient"

QUESTIONS = (
    Question(
        "repeats",
        (_HOW_MANY, r"\b(repeats?|repetitions?|runs|seeds|times|trainings)\b"),
        "As many as it takes until seed and split no longer move the mean by what counts; that depends on "
        "the table and the model, so it is measured.",
        "caviar stability TABLE --model file.py:build",
    ),
    Question(
        "folds",
        (_HOW_MANY, r"\bfolds?\b|\bk-?fold|cross.?validation"),
        "Ten folds are usual. More certainty comes from repeating them on other splits, not from more folds.",
        "caviar stability TABLE --model file.py:build",
    ),
    Question(
        "epochs",
        (_HOW_MANY + r"|too (many|few)", r"\bepochs?\b"),
        "The diagnosis says whether a network would learn more with more epochs, or was better earlier.",
        "caviar diagnose TABLE --model file.py:build",
    ),
    Question(
        "randomness",
        (
            r"differ|\bvar(y|ies|ying|iance)\b|reproduc|random|not the same|each time|every time|unstable",
            r"\b(results?|scores?|accuracy|runs?|training|seeds?|predictions?)\b",
        ),
        "Weights, row order and dropout are drawn anew in every training. How far that moves a score is "
        "measured over seeds and splits, apart from each other.",
        "caviar stability TABLE --model file.py:build",
    ),
    Question(
        "stuck",
        (
            (
                r"stuck|stall|plateau|(not|n't|never|stops?|stopped) (learn|improv|chang|decreas|increas|converg|go)"
                r"|\bconstant\b|always (predicts? )?the same|only one class|(low|bad) accuracy|fails? to learn"
                r"|underfit"
            ),
        ),
        "There are many reasons: unscaled inputs, a rate that is too high or too low, the wrong loss or last "
        "activation, dead units, or nothing to learn. The diagnosis takes away what looks wrong, one thing "
        "at a time, and names what mattered.",
        "caviar diagnose TABLE --model file.py:build",
    ),
    Question(
        "overfitting",
        (
            (
                r"over-?fit|generali[sz]|memori[sz]|regulari[sz]|dropout|weight decay"
                r"|val(idation)?[ _](loss|accuracy)\b.{0,40}\b(higher|lower|worse|ris|increas|drop|decreas|up\b|gap)"
                r"|train\w* .{0,40}\bbut\b.{0,40}\b(test|valid)"
            ),
        ),
        "Remedies such as dropout, weight decay or fewer units are tried on the same folds and seeds as your "
        "model; each is said to help, to harm, or to make no practical difference.",
        "caviar improve TABLE --model file.py:build",
    ),
    Question(
        "rate",
        (r"learning[ _-]?rate|\blr\b",),
        "The test shows from which rate on training breaks, which is best, and which cannot be told apart "
        "from it.",
        "caviar lr-range TABLE --model file.py:build",
    ),
    Question(
        "teaching",
        (
            r"\b(lesson|course|teach|explain|understand|learn about|what (is|are|does|do))\b",
            (
                r"\b(lessons?|course|dropout|batch|momentum|rates?|activations?|initiali\w+|gradients?|regulari\w+|ensembles?"
                r"|early stopping|weight decay|overfitting|noise|normali\w+|optimi[sz]ers?|loss(es)?|epochs?)\b"
            ),
        ),
        "A lesson trains a few variants side by side and checks a claim about them; the list shows what there is.",
        "caviar lesson",
    ),
    Question(
        "comparison",
        (
            r"\b(which|better|best|compare|comparison|difference|significan\w*|versus|vs)\b",
            r"\b(models?|networks?|recipes?|optimi[sz]ers?|activations?|architectures?|loss(es)?)\b",
        ),
        "Two builders are compared on the same folds and seeds; the answer is better, worse, practically the "
        "same, or not enough data.",
        "caviar compare small.py:build large.py:build TABLE",
    ),
    Question(
        "settings",
        (
            (
                r"hyper-?param|\btun(e|ing)\b|grid ?search|random ?search|optuna|keras ?tuner|batch ?size"
                r"|(how many|number of|best) .{0,20}\b(layers?|units|neurons|settings|parameters)"
            ),
        ),
        "A builder that asks hp, as for KerasTuner, is searched with cross-validation; the winner's score is "
        "corrected for having been chosen.",
        "caviar tune TABLE --model file.py:build",
    ),
    Question(
        "imbalance",
        (r"imbalanc|unbalanc|minority|rare class|class[ _]weight|skewed class",),
        "Accuracy says little there; Caviar scores with log-loss and balanced accuracy, and tries class "
        "weights, focal loss and a tuned threshold.",
        "caviar improve TABLE --model file.py:build",
    ),
    Question(
        "good-enough",
        (
            r"\b(good|enough|expect|normal|baseline|skill)\b",
            r"\b(accuracy|score|result|loss|auc|error|baseline)\b",
        ),
        "A score is good beside something: what a constant prediction reaches, a linear model, boosted trees.",
        "caviar improve TABLE --model file.py:build",
    ),
    Question(
        "scaling",
        (
            r"\b(re)?scal(e|ing|ed)\b|normali[sz]|standardi[sz]",
            r"input|data|feature|column|target|should|need|how|whether",
        ),
        "Scaling of inputs, and batch or layer normalization, are among the remedies that are tried beside "
        "your model as it is.",
        "caviar improve TABLE --model file.py:build",
    ),
    Question(
        "table",
        (
            r"missing (values?|data)|outliers?|\bleak|duplicate|data types?|what is in (my|the) (data|table)|explore",
        ),
        "Types, gaps, duplicates, outliers, leaks and the score of a constant prediction are listed without "
        "training.",
        "caviar look TABLE",
    ),
    Question(
        "cost",
        (
            r"how (long|much)|what .{0,20}\bcosts?\b|\b(hours|money|dollars)\b",
            r"\b(take|takes|need|costs?|last|rent)\b",
        ),
        "Batches, updates and trainings are counted, a few seconds are measured, and time and money follow from "
        "that.",
        "caviar plan --rows 1000 --epochs 100 --folds 10 --model file.py:build",
    ),
    Question(
        "speed",
        (
            r"\b(slow|slowly|faster|speed|takes? (too )?long|takes? forever|hours)\b",
            r"train|fit|epoch|network|model|keras|cross",
        ),
        "Many trainings of a small network run as one program in Caviar; a single long one does not get "
        "faster.",
        "caviar.fit(build, x, y, folds=10, seeds=5, epochs=50) in Python",
    ),
    Question(
        "new-rows",
        (
            r"predict|appl(y|ied)|use|deploy|score",
            r"new (rows?|data|samples?|cases?|observations?)|unseen|production",
        ),
        "A finished run predicts new rows with its own preparation, in the labels of your table.",
        "caviar predict runs/FOLDER new_rows.csv",
    ),
    Question(
        "drift",
        (r"drift|distribution shift|still (valid|good|stands?|holds?|works?)|retrain|out of date",),
        "On new rows with their target, what was chosen is trained again beside the others; it is said "
        "whether the choice stands and which columns moved.",
        "caviar recheck runs/FOLDER --data new_rows.csv",
    ),
    Question(
        "watching",
        (r"\b(watch|live|interactive\w*|by hand|manually|steer|while (it|the model) (is )?train)",),
        "One model is trained while you watch and change its settings; afterwards it is said whether that "
        "helped.",
        "caviar panda TABLE --model file.py:build",
    ),
    Question(
        "queue",
        (
            r"overnight|one after (the|an)other|several experiments|\bqueue|schedule experiments|in the background",
        ),
        "Experiments written down in TOML files run in order, each with a log.",
        "caviar queue first.toml second.toml --background",
    ),
    Question(
        "resuming",
        (
            r"resume|go on|continue|interrupted|killed|crashed|stopped",
            r"\b(run|runs|search|training|study|job)\b",
        ),
        "A run or a search that was stopped goes on behind what it had finished.",
        "caviar resume runs/FOLDER",
    ),
)
