"""Commands of `depois` that need the training extra."""
