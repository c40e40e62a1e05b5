"""Ways to merge: each names its search space and turns a recipe into tensors."""
