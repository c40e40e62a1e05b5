"""The models that take part: sources, and the pool of sources checked against each other."""
