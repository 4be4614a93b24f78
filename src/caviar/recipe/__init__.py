"""What a person would give `compile` and `fit`: the model builder and everything around it."""
