"""Curves of several builds of a model keep one name each, whatever Keras numbers them."""

import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from caviar.population.job import named_as


def logs(names):
    return xr.Dataset({name: float(place) for place, name in enumerate(names)})


@given(
    st.lists(st.sampled_from(["auc", "loss", "hits"]), min_size=1, max_size=5),
    st.integers(0, 5),
    st.integers(0, 5),
)
def test_unnamed_metrics_are_matched_by_the_order_of_their_kind(kinds, first, later):
    """Numbers of two builds may overlap, as those of two metrics of one kind do."""
    one, other = ([f"{kind}_{begin + place}" for place, kind in enumerate(kinds)] for begin in (first, later))
    found = named_as(logs(other), logs(one))
    assert [found[name].item() for name in one] == list(range(len(kinds)))


def test_the_same_names_stay_whatever_their_order():
    one, other = ["hits_2", "hits_1"], ["hits_1", "hits_2"]
    found = named_as(logs(other), logs(one))
    assert (found["hits_1"].item(), found["hits_2"].item()) == (0, 1)
