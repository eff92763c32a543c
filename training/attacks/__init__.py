"""Poisoning attacks, one concept per file, for measuring the guard. No member is ever trained on one."""
