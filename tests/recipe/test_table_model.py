"""The network that Caviar brings fits every task, and its training fits the table's size."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caviar.errors import ModelError
from caviar.recipe.heads import link_of, network_target, output_width
from caviar.recipe.recipe import Recipe
from caviar.recipe.table_model import table_builder, table_recipe, usual_training


@given(rows=st.integers(1, 10**7))
def test_training_stays_within_its_bounds_and_larger_tables_never_take_smaller_batches(rows):
    training = usual_training(rows)
    assert 20 <= training.epochs <= 150
    assert usual_training(rows + 1).batch_size >= training.batch_size


@pytest.mark.parametrize(
    ("task", "n_classes", "n_outputs", "link"),
    [
        ("binary", 2, 1, "probability"),
        ("multiclass", 4, 4, "probability"),
        ("regression", 0, 1, "identity"),
        ("multi-output regression", 0, 3, "identity"),
    ],
)
def test_the_table_network_fits_its_task(task, n_classes, n_outputs, link):
    model = table_recipe(task, 500).build(6, n_outputs)()
    target = np.arange(4) % n_classes if n_classes else np.ones((4, n_outputs))
    encoded = network_target(model, target, task, n_classes, 6)
    assert link_of(model, task, output_width(model, 6)) == link
    assert np.isfinite(model.evaluate(np.ones((4, 6), np.float32), encoded, verbose=0)[0])


def test_scaling_and_loss_follow_the_task():
    assert table_recipe("binary", 500).preparation.scaling == "robust"
    assert not table_recipe("binary", 500).preparation.scale_target
    assert table_recipe("regression", 500).preparation.scale_target
    assert table_builder("regression")(3, 1).loss == "mean_absolute_error"
    assert table_builder("regression", absolute=False)(3, 1).loss == "mean_squared_error"


def failing():
    raise RuntimeError("out of\nluck")


def uncompiled():
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])


@pytest.mark.parametrize(("builder", "said"), [(failing, "out of"), (uncompiled, "compiled"), (dict, "dict")])
def test_a_builder_that_gives_no_compiled_model_is_told_so(builder, said):
    recipe = Recipe("baseline", "Yours", builder, 8, 2, table_recipe("binary", 9).preparation)
    with pytest.raises(ModelError, match=said):
        recipe.build(2, 1)()


def test_a_change_is_noted_and_the_recipe_itself_stays():
    recipe = table_recipe("binary", 500)
    changed = recipe.changed(("epochs", "150 → 3"), epochs=3)
    assert (changed.epochs, changed.changes) == (3, (("epochs", "150 → 3"),))
    assert (recipe.epochs, recipe.changes) == (150, ())
    assert not recipe.watches
