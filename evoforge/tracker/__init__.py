"""Copies of the journal for people to watch: the terminal, Weights & Biases."""
