"""Searching: which settings to train next. Knows neither networks nor populations."""
