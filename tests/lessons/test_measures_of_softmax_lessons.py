"""What the lessons on softmax compute themselves is what it is said to be."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from caviar.lessons import class_weights, confidence, ensembles, hierarchical, softmax, transfer
from caviar.teaching.contract import Data, Variant
from caviar.teaching.seen import Seen, Training


def seen_with(data: Data, outputs: list[list[np.ndarray]]) -> Seen:
    """What a variant "one" said of its test rows [seed][fold]."""
    training = Training(
        Variant("one", "one", softmax.linear), {}, {"test": outputs, "train": []}, data.splits, [], 1.0, 0.0
    )
    return Seen(data, tuple(range(len(outputs))), {"one": training})


def test_probabilities_as_logits_have_a_loss_no_lower_than_the_floor():
    rng = np.random.default_rng(0)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    best = float(loss(np.array([0]), np.array([[1.0, 0.0, 0.0]])))
    assert best == pytest.approx(softmax.floor(3), abs=1e-6)
    others = [float(loss(np.array([0]), row[None])) for row in rng.dirichlet(np.ones(3), 50)]
    assert min(others) > best


def test_the_formula_as_written_fails_where_the_stable_one_does_not():
    small, large = np.array([1.0, 0.0, -1.0]), np.array([500.0, 0.0, -500.0])
    assert softmax.naive_loss(small) == pytest.approx(softmax.keras_loss(small), rel=1e-5)
    assert not np.isfinite(softmax.naive_loss(large))
    assert softmax.keras_loss(large) == pytest.approx(1000.0)


def test_one_against_the_rest_has_a_problem_per_class_on_the_same_rows():
    data = softmax.spirals()
    apart = softmax.one_against_rest(data)
    assert len(apart.splits) == 3
    for k, (train, test) in enumerate(apart.splits):
        np.testing.assert_array_equal(apart.x[train], data.x[data.splits[0][0]])
        np.testing.assert_array_equal(apart.y[test], data.y[data.splits[0][1]] == k)


def test_the_surest_of_the_models_per_class_decides():
    data = Data("rows", np.zeros((4, 1)), np.array([0, 1, 2, 0]), [(np.arange(0), np.arange(4))], 3)
    sure = np.eye(3)[[0, 1, 2, 1]]  # the last row is wrong
    seen = seen_with(softmax.one_against_rest(data), [[sure[:, [k]] for k in range(3)]])
    np.testing.assert_allclose(softmax.accuracy_of_rest(seen, "one", data), [0.75])


def test_recall_is_that_of_each_class():
    y = np.array([0, 0, 0, 1, 1, 2])
    outputs = np.eye(3)[[0, 0, 1, 1, 0, 2]]
    np.testing.assert_allclose(class_weights.recalls(outputs, y), [2 / 3, 0.5, 1.0])
    assert class_weights.unevenness(outputs, y) == pytest.approx(0.5)
    assert class_weights.mistaken(outputs, y, 0) == pytest.approx(1 / 3)


def test_averages_are_of_seeds_that_share_none():
    data = replace(ensembles.rows(), y=np.zeros(600, int))
    right, wrong = np.tile([0.6, 0.4, 0.0], (120, 1)), np.tile([0.3, 0.7, 0.0], (120, 1))
    outputs = [[right if seed % 2 else wrong] * 5 for seed in range(4)]
    seen = seen_with(data, outputs)
    seen = replace(seen, trainings={"network": seen.trainings["one"]})
    found = ensembles.averaged_seeds(seen, data)
    np.testing.assert_allclose(found["alone"], [0.5, 0.5])
    np.testing.assert_allclose(found["averaged"], [0.0, 0.0])  # 0.45 against 0.55
    np.testing.assert_allclose(found["alone differ"], [0.0])  # one pair of averages: seeds 0 and 1 by 2 and 3
    np.testing.assert_allclose(found["averaged differ"], [0.0])


def test_averages_are_compared_pair_by_pair_and_their_networks_one_by_one():
    data = replace(ensembles.rows(), y=np.zeros(600, int))
    right, wrong = np.tile([0.6, 0.4, 0.0], (120, 1)), np.tile([0.1, 0.9, 0.0], (120, 1))
    outputs = [[right if seed < 7 else wrong] * 5 for seed in range(20)]
    seen = seen_with(data, outputs)
    seen = replace(seen, trainings={"network": seen.trainings["one"]})
    found = ensembles.averaged_seeds(seen, data)
    # Averages of seeds 0 to 4 and 5 to 9; the second has two right networks of five. Then two that are alike.
    np.testing.assert_allclose(found["alone differ"], [3 / 5, 0.0])
    np.testing.assert_allclose(found["averaged differ"], [1.0, 0.0])


def test_draws_of_digits_share_no_rows_of_the_task_with_few():
    data = transfer.digits()
    high = transfer.high_digits(data)
    used = np.concatenate([train[high[train]] for train, _ in data.splits])
    assert len(used) == len(np.unique(used)) == transfer.DRAWS * 5 * transfer.FEW
    for train, test in data.splits:
        assert not np.isin(train, test).any()
        np.testing.assert_array_equal(np.bincount(data.y[train[high[train]]]), transfer.FEW)


def test_tasks_that_share_features_have_the_same_rows_and_other_classes():
    first, second = (transfer.shared_features(50, task) for task in (0, 1))
    np.testing.assert_array_equal(first.x, second.x)
    assert (first.y != second.y).mean() > 0.3
    assert not np.isin(first.splits[0][0], second.splits[0][0]).any()


def test_accepted_rows_are_those_that_the_model_is_sure_of():
    outputs = np.array([[0.9, 0.1], [0.6, 0.4], [0.8, 0.2], [0.45, 0.55]])
    y = np.array([0, 1, 0, 1])
    assert confidence.coverage(outputs, y, 0.7) == 0.5
    assert confidence.accepted(outputs, y, 0.7) == 1.0
    assert confidence.accepted(outputs, y, 0.0) == 0.75
    assert confidence.lowest_that_keeps(outputs, y) == pytest.approx(0.65)


def test_a_threshold_of_training_rows_that_are_all_right_accepts_what_one_chosen_apart_does_not():
    """Both are judged on the second half of the test rows, of which the sure half is right."""
    y, train, test = np.zeros(10, int), np.arange(2), np.arange(2, 10)
    seen = seen_with(
        Data("rows", np.zeros((10, 1)), y, [(train, test)], 2),
        [[np.array([[0.95, 0.05], [0.45, 0.55]] * 4)]],
    )
    seen.trainings["one"].outputs["train"].append([np.array([[0.6, 0.4]] * 2)])
    np.testing.assert_allclose(confidence.kept_promise(seen, "one", "train"), [0.5 - 0.9])
    np.testing.assert_allclose(confidence.gain_apart(seen, "one"), [1.0 - 0.5])


def test_a_hierarchy_scores_only_classes_of_the_group_that_it_is_given_or_finds():
    groups = hierarchical.GROUPED["hierarchical"]
    layer = hierarchical.Hierarchy(groups.places.tolist(), groups.number, groups.size)
    x = np.column_stack([np.random.default_rng(0).normal(size=(3, 16)), [5, 40, 1000]]).astype(np.float32)
    free, taught = np.asarray(layer(x)), np.asarray(layer(x, training=True))
    coarse = x[:, :16] @ np.asarray(layer.coarse)
    np.testing.assert_allclose(free[:, :32], coarse, rtol=1e-4, atol=1e-5)
    for row in range(3):
        own, likely = int(x[row, 16]) // 32, int(coarse[row].argmax())
        for scores, group in ((taught, own), (free, likely)):
            expected = x[row, :16] @ np.asarray(layer.fine)[group]
            np.testing.assert_allclose(scores[row, 32:], expected, rtol=1e-4, atol=1e-5)


def test_classes_that_lie_together_make_a_group_of_equal_size():
    """Three heaps of 4, 3 and 3 classes, far from each other, in any order."""
    heap = np.array([0, 1, 2, 0, 0, 1, 2, 1, 2, 0])
    centres = (
        np.random.default_rng(1).normal(0, 0.1, (10, 2)) + 10 * np.array([[3, 0], [0, 1], [-1, 0]])[heap]
    )
    groups = hierarchical.neighbours(centres, 3)
    assert sorted(sorted(group.tolist()) for group in groups) == [[0, 3, 4, 9], [1, 5, 7], [2, 6, 8]]
    found = hierarchical.placed(groups)
    assert (found.number, found.size) == (3, 4)
    assert len(set(found.places)) == 10
    assert all(len({found.places[k] // 4 for k in range(10) if heap[k] == one}) == 1 for one in range(3))


def test_halves_of_a_persons_classes_give_rows_that_no_draw_shares():
    """The source has most rows of the most frequent classes; each draw has five other rows of each of the rest."""
    label = np.repeat([0, 1, 2, 3, 4], [25, 60, 30, 70, 40])
    first, second = np.array([3, 1]), np.array([4, 2, 0])
    splits = transfer.draws(label, first, second)
    source = [set(train[np.isin(label[train], first)]) for train, _ in splits]
    few = [set(train[np.isin(label[train], second)]) for train, _ in splits]
    assert source[0] == source[1] == source[2]
    assert len(source[0]) == round(0.7 * 130)
    assert all(np.bincount(label[list(some)]).tolist() == [5, 0, 5, 0, 5] for some in few)
    assert not few[0] & few[1] | few[0] & few[2] | few[1] & few[2]
    assert not set(splits[0][1]) & (source[0] | few[0] | few[1] | few[2])


def test_both_ways_to_find_a_class_agree_where_the_group_is_right():
    rng = np.random.default_rng(0)
    every, row = rng.normal(size=(16, 3)), rng.normal(size=3)
    best = hierarchical.find(every, row)
    fine = every.reshape(4, 4, 3)
    coarse = fine.max(axis=1) * 0 + np.eye(4)[:, [best // 4]] * row  # its own group scores highest
    assert hierarchical.find_in_group(coarse, fine, row) == best % 4


def test_products_grow_with_the_root_of_the_number_of_classes():
    assert hierarchical.products("hierarchical", 1024) == 16 * 64
    assert hierarchical.growth("hierarchical") == pytest.approx(0.5)
    assert hierarchical.growth("flat") == pytest.approx(1.0)
