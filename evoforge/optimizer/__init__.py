"""Searches in the unit cube. Optimizers see vectors, never models."""
