"""Experiments: each writes one result file with its settings, seeds and spread."""
