"""The offline half: learn a bundle from a trusted snapshot, attack it, and measure it."""
