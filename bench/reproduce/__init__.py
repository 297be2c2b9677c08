"""Published rows measured anew: one run for each row and seed, then the table."""
