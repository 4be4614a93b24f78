"""How much is measured, how many updates that is, and what these cost."""
