"""The page `docs/evaluation.md`: printed figures beside measured ones, from result files alone."""
