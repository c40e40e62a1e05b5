"""Evolutionary search for the best way to merge existing models, without training."""

__version__ = "0.1.0"
