"""Runs that nobody trained: records and histories with everything a report can meet."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import xarray as xr

from caviar.estimate import Estimate
from caviar.run.record import (
    ArmRecord,
    ColumnFacts,
    ComparisonRecord,
    DataRecord,
    DiagnosisRecord,
    FinalRecord,
    FindingRecord,
    MetricRecord,
    PlanRecord,
    Record,
    Remark,
    RowRecord,
    SkippedRemedy,
    SpreadRecord,
    TrialRecord,
)

NAN, INF = float("nan"), float("inf")
METHOD = "corrected resampled t (Nadeau and Bengio, 2003), 29 degrees of freedom"
HOSTILE = '</script><img src=x onerror="window.hacked=1"><b>&amp;{{7*7}}[red]%{y}\''
LONG = "the concentration of a very long named protein in blood plasma, first visit, " * 3

REMEDIES = [
    ("scaling", "Scale the inputs", 0.104, 0.021, "helps", None),
    ("dropout", "Dropout 0.3", 0.058, 0.012, "helps", None),
    ("plateau", "Lower the learning rate on a plateau", 0.011, 0.012, "not enough data", 9),
    ("batch-normalization", "Batch normalization", 0.034, 0.012, "helps", None),
    ("l2", "L2 on all weights (0.001)", 0.021, 0.008, "helps", None),
    ("noise", "Gaussian noise 0.1 on the inputs", 0.001, 0.002, "no practical difference", None),
    ("early-stopping", "Early stopping", 0.045, 0.014, "helps", None),
    ("slower", "Learning rate / 3", -0.041, 0.011, "harms", None),
    ("faster", "Learning rate * 3", -0.006, 0.014, "not enough data", None),
    ("smooth", "Robust scaling with a smooth clip", 0.096, 0.022, "helps", None),
    ("ensemble", "An ensemble of 5 seeds", 0.071, 0.012, "helps", None),
]


def estimate(value: float, half: float = 0.05, n: int = 30) -> Estimate:
    return Estimate(value=value, low=value - half, high=value + half, method=METHOD, n=n)


def arm(name: str, title: str, loss: float, **more) -> ArmRecord:
    scores = {
        "log-loss": estimate(loss),
        "auc": estimate(0.97 - loss / 4, 0.02),
        "accuracy": estimate(0.95 - loss / 4),
    }
    rng = np.random.default_rng(len(name))
    return ArmRecord(
        **{
            "name": name,
            "title": title,
            "what": f"{title}: the rest of the recipe stays as it is.",
            "source": "Srivastava and others (2014)",
            "changes": {"dropout": "0.3"},
            "members": 50,
            "scores": scores,
            "fold_scores": rng.normal(loss, 0.05, (3, 10)).round(4).tolist(),
            "repeat_deviation": 0.0093,
            "history": f"histories/{name}.nc",
            "engine": "one population of 50 members under vmap, 2 shards",
            "seconds": 3.2,
            "epochs": 100,
            "batch_size": 32,
            "parameters": 2177,
        }
        | more
    )


def data_record(**more) -> DataRecord:
    names = [f"band {i}" for i in range(60)]
    columns = [
        ColumnFacts(
            name=n,
            kind="numeric",
            missing=i % 7,
            distinct=200,
            low=0.0,
            median=0.12,
            high=0.7071,
            outliers=i % 3,
        )
        for i, n in enumerate(names)
    ]
    return DataRecord(
        **{
            "name": "sonar",
            "rows": 208,
            "columns": columns,
            "targets": ["60"],
            "task": "binary",
            "task_reason": "the target has 2 distinct texts. Pass --task to say otherwise.",
            "classes": ["M", "R"],
            "class_counts": [111, 97],
            "left_out": ["Column id: every value differs, so it identifies rows instead of describing them."],
            "duplicates": 4,
            "contradictions": 1,
            "remarks": [
                Remark(code="D01", title="Read with separator ',' and no header", text="Encoding utf-8."),
                Remark(
                    code="D09",
                    title="Few rows for so many columns",
                    text="208 rows and 60 columns: a network can learn them by heart.",
                    level="warning",
                ),
            ],
            "preparation": "numbers are passed on as they are; gaps take the median of the training rows.",
            "n_inputs": 60,
        }
        | more
    )


def findings() -> list[FindingRecord]:
    return [
        FindingRecord(
            code="L01",
            title="Does not learn",
            area="learning",
            outcome="clear",
            sentence="The training loss falls well below no skill in all trainings.",
        ),
        FindingRecord(
            code="L02",
            title="Diverges",
            area="learning",
            outcome="clear",
            sentence="No training's loss left the numbers.",
        ),
        FindingRecord(
            code="L03",
            title="Learns too slowly",
            area="learning",
            outcome="not applicable",
            sentence="Needs 20 epochs after the minimum; there were 4.",
        ),
        FindingRecord(
            code="G01",
            title="Overfits",
            area="generalization",
            outcome="found",
            sentence="The held-out loss rises from epoch 31 on while the training loss keeps falling.",
            fault="The network learns the training rows by heart.",
            severity=0.8,
            rate=Estimate(value=0.9, low=0.744, high=0.965, method="Wilson", n=30),
            evidence={"gap_at_the_end": 0.3412, "best_epoch": 31.0, "rise": 0.118},
            remedies=["dropout", "l2", "early-stopping"],
        ),
        FindingRecord(
            code="P01",
            title="The result depends on the seed",
            area="prediction",
            outcome="found",
            sentence="A third of the spread comes from the seed.",
            severity=0.4,
            evidence={"share_of_the_seed": 0.33},
            remedies=["ensemble"],
        ),
    ]


def comparison(
    name: str, difference: float, half: float, verdict: str, repeats: int | None
) -> ComparisonRecord:
    return ComparisonRecord(
        remedy=name,
        difference=estimate(difference, half),
        narrow=estimate(difference, half * 0.8),
        p=0.0004 if verdict in ("helps", "harms") else 0.21,
        p_holm=0.0032 if verdict in ("helps", "harms") else 0.42,
        verdict=verdict,
        repeats_needed=repeats,
        sentence=f"{verdict}: log-loss differs by {difference} (unadjusted), rope 0.006.",
    )


def full_record(**more) -> Record:
    """A finished run on a small binary table with twelve arms."""
    return Record(
        **{
            "status": "finished",
            "stage": "report",
            "created": "2026-11-20 14:31",
            "seconds": 171.0,
            "stage_seconds": {"look": 0.8, "measure": 21.0, "diagnose": 4.1, "treat": 121.0, "finish": 18.0},
            "options": {"target": "60", "header": "no"},
            "versions": {"caviar": "0.1.0", "keras": "3.15.1", "jax": "0.10.2", "python": "3.11.9"},
            "machine": "2 CPU cores, x86_64, 8 GiB",
            "data": data_record(),
            "plan": PlanRecord(
                folds=10,
                repeats=3,
                seeds=3,
                split="stratified, identical rows kept together",
                reasons=["3 repeats are the default."],
                minutes=5,
                seed=0,
            ),
            "metric": MetricRecord(
                name="log-loss", title="log-loss", higher_is_better=False, others=["auc", "accuracy"]
            ),
            "no_skill": {"log-loss": 0.691, "auc": 0.5, "accuracy": 0.534},
            "references": [
                RowRecord(name="no-skill", title="No skill", scores={"log-loss": estimate(0.691, 0.002)}),
                RowRecord(
                    name="linear",
                    title="Logistic regression",
                    seconds=0.6,
                    scores={
                        "log-loss": estimate(0.52, 0.06),
                        "auc": estimate(0.83),
                        "accuracy": estimate(0.76),
                    },
                ),
                RowRecord(
                    name="gradient-boosting",
                    title="Histogram gradient boosting",
                    seconds=9.1,
                    scores={
                        "log-loss": estimate(0.43, 0.07),
                        "auc": estimate(0.90),
                        "accuracy": estimate(0.82),
                    },
                ),
            ],
            "baseline": arm("baseline", "Baseline", 0.512),
            "spread": SpreadRecord(
                split=estimate(0.048, 0.012),
                seed=estimate(0.019, 0.006),
                sentence="Which rows are held out moves the score 2.5 times as far as the seed does.",
            ),
            "diagnosis": DiagnosisRecord(
                area="generalization",
                findings=findings(),
                sentence=("It has a generalization problem: it learns the training rows by heart."),
            ),
            "trial": TrialRecord(
                rope=0.0052,
                rope_reason="2 % of the distance from no skill to the best reference row",
                arms=[arm(name, title, 0.512 - gain) for name, title, gain, *_ in REMEDIES],
                comparisons=[comparison(name, *rest) for name, _, *rest in REMEDIES],
                skipped=[
                    SkippedRemedy(
                        remedy="class-weights", title="Class weights", why="The classes are balanced."
                    )
                ],
                chosen="scaling",
                chosen_reason="It has the best score of the remedies that help.",
                naive_score=0.408,
                corrected_score=estimate(0.417, 0.05),
            ),
            "final": FinalRecord(
                recipe="scaling",
                title="Scale the inputs",
                members=1,
                rows=208,
                files=["model/network-0.keras", "model/preparation.skops", "model/model.json"],
                scores={"log-loss": estimate(0.408), "auc": estimate(0.91, 0.03)},
                test={"log-loss": 0.421, "auc": 0.902},
                test_rows=120,
                sentence="One network with scaled inputs, trained on all 208 rows for 100 epochs.",
            ),
            "messages": ["The compilation cache was empty: 2.1 s."],
        }
        | more
    )


def history(members: int = 30, epochs: int = 100, *, seed: int = 0, diverges: bool = False) -> xr.Dataset:
    """Curves of a network that learns, then overfits; with `diverges`, it ends in NaN at epoch 4."""
    rng = np.random.default_rng(seed)
    epoch = np.arange(1, epochs + 1)
    fall = np.exp(-epoch / (0.2 * epochs))
    shape = (members, epochs)
    loss = 0.05 + 0.65 * fall + rng.normal(0, 0.015, shape) + rng.normal(0, 0.02, (members, 1))
    held_out = 0.35 + 0.35 * fall + 0.3 * (epoch / epochs) ** 2 + rng.normal(0, 0.03, shape)
    held_out += rng.normal(0, 0.06, (members, 1))
    variables = {
        "loss": np.abs(loss),
        "val_loss": np.full(shape, NAN),
        "held_out_loss": held_out,
        "accuracy": np.clip(1 - loss / 2, 0, 1),
        "held_out_accuracy": np.clip(1.05 - held_out / 1.6, 0, 1),
        "learning_rate": np.full(shape, 0.001),
    }
    if diverges:
        for values in variables.values():
            values[:, 3:] = NAN
        variables["loss"][:, 2] = INF
    number = np.arange(members)
    return xr.Dataset(
        {name: (("member", "epoch"), values) for name, values in variables.items()},
        coords={
            "epoch": epoch,
            "repeat": ("member", number // 10),
            "fold": ("member", number % 10),
            "seed": ("member", np.zeros(members, dtype=int)),
        },
        attrs={"engine": "vmap", "seconds": 3.2},
    )


def save_run(folder: Path, record: Record, *, curves: int | None = None, **shape) -> Path:
    """Write a record, and histories for its first `curves` arms (all of them if None)."""
    (folder / "histories").mkdir(parents=True)
    arms = [*([record.baseline] if record.baseline else []), *(record.trial.arms if record.trial else [])]
    for measured in arms[curves:] if curves is not None else []:
        measured.history = None
    (folder / "record.json").write_text(record.model_dump_json())
    for seed, measured in enumerate(arms):
        if measured.history:
            history(seed=seed, **shape).to_netcdf(folder / measured.history, engine="h5netcdf")
    return folder


def interrupted_record() -> Record:
    return full_record(
        status="interrupted", stage="diagnose", diagnosis=None, trial=None, final=None, spread=None
    )


def looked_record() -> Record:
    return full_record(
        status="interrupted",
        stage="measure",
        plan=None,
        no_skill={},
        references=[],
        baseline=None,
        spread=None,
        diagnosis=None,
        trial=None,
        final=None,
    )


def diverged_record() -> Record:
    """Every training failed: no score is a number, and some intervals have no end."""
    nothing = Estimate(value=NAN, low=NAN, high=NAN, method=METHOD, n=0)
    endless = Estimate(value=0.9, low=-INF, high=INF, method=METHOD, n=1)
    broken = {"failed_members": 50, "fold_scores": [[NAN] * 10] * 3, "repeat_deviation": NAN}
    baseline = arm("baseline", "Baseline", 0.5, scores={"log-loss": nothing, "auc": endless}, **broken)
    harms = comparison("l2", 0.1, 0.1, "not enough data", None).model_copy(
        update={"difference": nothing, "narrow": nothing, "p": NAN, "p_holm": NAN}
    )
    trial = TrialRecord(
        rope=0.005,
        rope_reason="2 % of the distance",
        comparisons=[harms],
        arms=[arm("l2", "L2", 0.4, scores={"log-loss": endless}, **broken)],
        chosen_reason="Nothing worked.",
    )
    return full_record(
        baseline=baseline,
        trial=trial,
        final=None,
        no_skill={"log-loss": INF},
        spread=SpreadRecord(split=nothing, seed=endless, sentence="Nothing could be measured."),
    )


def lone_record() -> Record:
    """Nothing but the baseline: no remedy fitted the diagnosis."""
    trial = TrialRecord(rope=0.005, rope_reason="given", chosen_reason="Nothing needed treatment.")
    final = full_record().final.model_copy(update={"recipe": "baseline", "title": "Baseline", "test": None})
    return full_record(trial=trial, final=final)


def regression_record() -> Record:
    """Two targets at once."""
    scores = {"mae": estimate(11234.4, 512.0), "rmse": estimate(15400.0, 800.0), "r2": estimate(0.61, 0.04)}
    record = full_record(
        metric=MetricRecord(
            name="mae", title="mean absolute error", higher_is_better=False, others=["rmse", "r2"]
        ),
        data=data_record(
            name="houses",
            targets=["price", "rent"],
            task="multi-output regression",
            classes=[],
            class_counts=[],
            target_low=[12000.0, 110.0],
            target_high=[1.25e6, 9400.5],
        ),
        no_skill={"mae": 25000.0, "r2": -0.01},
        references=[
            RowRecord(name="linear", title="Ridge regression", scores={"mae": estimate(14000.0, 700.0)})
        ],
    )
    record.baseline.scores = scores
    record.final.scores = scores
    record.final.test = None
    record.trial.corrected_score = None
    for measured in record.trial.arms:
        measured.scores = scores
    return record


def many_classes_record() -> Record:
    return full_record(
        data=data_record(
            task="multiclass",
            classes=[f"variety {i} of the plant" for i in range(20)],
            class_counts=[round(3000 * 0.75**i) + 3 for i in range(20)],
        )
    )


def named_record(name: str) -> Record:
    """Everything a stranger could name carries `name`."""
    record = full_record()
    record.data.name = name
    record.data.targets = [name]
    record.data.classes = [name, f"not {name}"]
    record.data.left_out = [name]
    record.data.columns[0].name = name
    record.data.columns[0].example = name
    record.data.remarks[1].title = name
    record.data.remarks[1].text = name
    record.options["target"] = name
    record.messages = [name]
    record.machine = name
    record.metric.title = name[:40]
    record.diagnosis.sentence = name
    record.diagnosis.findings[3].sentence = name
    record.diagnosis.findings[3].evidence[name] = 1.0
    record.baseline.title = name
    record.references[1].title = name
    for measured in record.trial.arms[:3]:
        measured.title = measured.what = name
        measured.changes = {name: name}
    record.final.files = [name]
    record.final.sentence = name
    return record


RECORDS: dict[str, Callable[[], Record]] = {
    "full": full_record,
    "interrupted": interrupted_record,
    "looked": looked_record,
    "empty": lambda: Record(status="interrupted"),
    "diverged": diverged_record,
    "lone": lone_record,
    "regression": regression_record,
    "many classes": many_classes_record,
    "hostile": lambda: named_record(HOSTILE),
    "long": lambda: named_record(LONG),
}
