"""Readers of trusted data: each kind of file to the same raw columns or images."""
