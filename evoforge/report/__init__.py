"""What a finished run shows: statistics, tables, pictures, the model card."""
