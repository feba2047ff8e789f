"""Training data: which pictures form a batch, their pixels, how they are changed, the batches."""
