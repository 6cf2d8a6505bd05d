"""Training batches: users, positives, and candidates for the negative samplers."""
