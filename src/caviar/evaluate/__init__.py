"""How good, how sure, and whether better: scores, intervals, comparisons."""
