"""Where candidates are evaluated."""
