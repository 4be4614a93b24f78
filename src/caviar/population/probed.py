"""What probes have recorded, on named axes: what each number means, which are missing, and why."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
import xarray as xr

from caviar.population.job import Job
from caviar.population.probe import (
    LAYER_VARIABLES,
    MEMBER_VARIABLES,
    MOST_BATCHES,
    MOST_ROWS,
    WHOLE,
    Probe,
    Sample,
    make_sample,
)

MOST_TIME = 0.1
"""Share of the time of the steps that probes may take where nobody says how often."""

# A probe of tiny networks takes twice as long as its batches' steps alone (seen on two busy cores), because it sums up
# what it sees and is seldom in the cache; with something to spare.
_STEPS = 2.5 * MOST_BATCHES

_MEANINGS = {
    "gradient_norm": "norm of the gradient that the step hands to the optimizer",
    "update_ratio": "norm of the change that the step makes, divided by the norm of the weights",
    "weight_norm": "norm of the weights",
    "activation_mean": "mean of all outputs in training mode",
    "activation_std": "standard deviation of all outputs in training mode",
    "dead": "share of ReLU units that are zero for every row of the batch",
    "saturated": "share of outputs of a bounded activation in the outer 5 % of its range",
    "gradient_signal": "estimate of the squared norm of the true gradient; negative by chance",
    "gradient_noise": "estimate of the trace of the covariance of single rows' gradients",
    "noise_scale": "simple noise scale in rows: gradient_noise / gradient_signal; NaN where that is not positive",
    "loss_spikes": "number of spikes in the recorded training losses of all epochs",
}
_MISSING = "not_available"


def sample_of(job: Job) -> Sample | None:
    """What the probes of a job look at; None if it wants none."""
    if not job.probe:
        return None
    if job.source is None:
        return make_sample(
            [len(seat.fit) for seat in job.seats], job.batch_size, job.probe, job.initial_epoch
        )
    size = job.source.batch_size
    least = size * min(MOST_BATCHES, job.source.steps or MOST_BATCHES)
    return make_sample([least], size, job.probe, job.initial_epoch)


def seldom_enough(jobs: Sequence[Job]) -> int:
    """Epochs from one probe to the next, so that probes take at most a tenth of the time of the steps.

    A probe takes at most as long as five steps of a member, so an epoch of n steps affords 0.1 n / 5 of one.

    Args:
        jobs: All are probed in the same epochs, so the one with the fewest steps decides; where a dataset does not
            tell how many it has, that is one.
    """
    fewest = min(job.steps_each or -(-len(seat.fit) // job.batch_size) for job in jobs for seat in job.seats)
    return math.ceil(_STEPS / (MOST_TIME * fewest))


def make_probes(probe: Probe, recorded: np.ndarray, history: xr.Dataset) -> xr.Dataset:
    """Probes of some members.

    Args:
        probe: What was measured.
        recorded: Its numbers (member, epoch, slot); NaN in epochs that were not probed.
        history: The members' logs (member, epoch).

    Returns:
        Variables (member, epoch, layer), (member, epoch) and (member,), for probed epochs only; each says what it
        means (`meaning`) and where and why it is missing (`not_available`).
    """
    axes: dict[str, tuple[str, ...]] = dict.fromkeys(LAYER_VARIABLES, ("member", "epoch", "layer"))
    axes |= dict.fromkeys(MEMBER_VARIABLES, ("member", "epoch"))
    at = np.flatnonzero(probe.sample.due(history["epoch"].values - 1))
    layers = list(probe.layers)
    arrays = {
        name: np.full((len(recorded), len(at), len(layers))[: len(along)], np.nan, np.float32)
        for name, along in axes.items()
    }
    for slot, (name, layer) in enumerate(probe.slots):
        values = recorded[:, at, slot]
        if layer == WHOLE:
            arrays[name][:] = values
        else:
            arrays[name][:, :, layers.index(layer)] = values
    dataset = xr.Dataset(
        {name: (along, arrays[name], _attrs(name, probe)) for name, along in axes.items()},
        coords={**history.isel(epoch=at).coords, "layer": layers},
        attrs={"every": probe.sample.every, "measured": _how(probe.sample)},
    )
    signal, noise = dataset["gradient_signal"], dataset["gradient_noise"]
    scale = (noise / signal.where(signal > 0)).assign_attrs(_attrs("gradient_signal", probe))
    dataset["noise_scale"] = scale.assign_attrs(meaning=_MEANINGS["noise_scale"])
    spikes = loss_spikes(history["loss"].values) if "loss" in history else np.full(len(recorded), np.nan)
    dataset["loss_spikes"] = ("member", spikes, {"meaning": _MEANINGS["loss_spikes"]})
    if "loss" not in history:
        dataset["loss_spikes"].attrs[_MISSING] = "the model logs no loss"
    return dataset


def _attrs(name: str, probe: Probe) -> dict[str, str]:
    missing = [f"{layer}: {why}" if layer else why for layer, why in probe.missing[name].items()]
    return {"meaning": _MEANINGS[name], **({_MISSING: "; ".join(missing)} if missing else {})}


def _how(sample: Sample) -> str:
    """How probes measure, in a sentence or two."""
    much = (
        f"the first {sample.rows} rows"
        if sample.rows == MOST_ROWS
        else f"the first batch ({sample.rows} rows)"
    )
    signal = f"{sample.batches} batches of {sample.rows} rows" if sample.batches > 1 else "no second batch"
    return (
        f"Every {sample.every} epochs, before the first and so on, the coming step is taken on {much} of the "
        f"epoch's order and thrown away. Signal and noise of the gradient are from {signal}. Activations that a model "
        f"calls as functions belong to no layer and are not seen."
    )


def loss_spikes(losses: np.ndarray, *, share: float = 0.5, changes: float = 7.0) -> np.ndarray:
    """How often each member's loss shoots up.

    A spike begins where the loss climbs within one epoch by more than `changes` times its median change, and ends up
    above its minimum so far by more than `share` of all that had been gained by then. The first leaves out noise (of
    a hundred thousand epochs of it less than ten are taken for spikes), the second what does no harm. The rule is
    Caviar's own; it does not depend on the loss' unit or sign.

    Args:
        losses: (member, epoch); NaN after a stop.
        share: Share of the gain, from the first loss to the minimum so far.
        changes: Multiple of the median absolute change.

    Returns:
        Numbers of spikes (member,).

    >>> loss_spikes(np.array([[4.0, 3.0, 2.0, 1.0, 0.9, 9.0, 0.9, 0.8], [4.0, 3.0, 2.0, 1.0, 0.9, 0.95, 0.9, 0.8]]))
    array([1, 0])
    """
    least = np.fmin.accumulate(losses, axis=1)
    with np.errstate(invalid="ignore"):  # a member that ran to infinity
        above = losses[:, 1:] - least[:, :-1]
        gained = losses[:, :1] - least[:, :-1]
        climbed = np.diff(losses, axis=1)
    changed = [np.abs(member[np.isfinite(member)]) for member in climbed]
    usual = np.array([np.median(member) if len(member) else np.nan for member in changed])
    return ((climbed > changes * usual[:, None]) & (above > share * gained)).sum(axis=1)


def in_turn(before: xr.Dataset | None, now: xr.Dataset | None, history: xr.Dataset) -> xr.Dataset | None:
    """Probes of two stages of one training.

    Args:
        before: Those of the first stage.
        now: Those of the second.
        history: Logs of both.

    Returns:
        The epochs of both; None if one was not probed.
    """
    if before is None or now is None:
        return None
    whole = xr.concat(
        [before, now], "epoch", data_vars="minimal", coords="minimal", compat="override", join="exact"
    )
    if "loss" in history:
        whole["loss_spikes"] = before["loss_spikes"].copy(data=loss_spikes(history["loss"].values))
    return whole


def join(named: Iterable[tuple[str, xr.Dataset | None]]) -> xr.Dataset | None:
    """Probes of the members of several recipes, whose layers may differ.

    Args:
        named: Name of each recipe, and its probes.

    Returns:
        All members on one axis, all layers and epochs that any recipe has; None if nothing was probed.
    """
    found = [
        (name, probes.assign_coords(recipe=("member", [name] * probes.sizes["member"])))
        for name, probes in named
        if probes is not None
    ]
    if not found:
        return None
    layers = dict.fromkeys(layer for _, probes in found for layer in probes["layer"].values)
    epochs = sorted({epoch for _, probes in found for epoch in probes["epoch"].values})
    aligned = [probes.reindex(layer=list(layers), epoch=epochs) for _, probes in found]
    whole = xr.concat(aligned, "member", join="exact", data_vars="all", combine_attrs="override")
    for name, variable in whole.data_vars.items():
        variable.attrs.pop(_MISSING, None)
        reasons = {recipe: probes[name].attrs.get(_MISSING, "") for recipe, probes in found}
        if len(set(reasons.values())) == 1:
            reasons = {"": next(iter(reasons.values()))}
        said = [f"{recipe}: {why}" if recipe else why for recipe, why in reasons.items() if why]
        if said:
            variable.attrs[_MISSING] = "; ".join(said)
    how = dict.fromkeys(probes.attrs["measured"] for _, probes in found)
    return whole.assign_attrs(measured=" ".join(how))
