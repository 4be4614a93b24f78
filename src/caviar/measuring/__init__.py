"""How good a recipe is on a table, and which of several is better: same folds, same seeds."""
