"""MeCa (Pu et al. 2024): a network that fits backdoors alone tells poison from clean rows, without any clean data."""
