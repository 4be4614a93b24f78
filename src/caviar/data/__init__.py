"""From a table of any kind to numbers, folds and a data record."""
