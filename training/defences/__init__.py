"""Defences: baselines that the guard is compared with, and training on rows that may be poisoned."""
