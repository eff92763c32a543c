"""EPIC (Yang et al. 2022): rows that lie alone in gradient space are dropped while a network trains."""
