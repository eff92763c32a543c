"""The `depois` command."""
