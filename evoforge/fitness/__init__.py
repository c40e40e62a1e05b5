"""Which items judge a generation, and what fitness an evaluation gets."""
