"""The demo: a crowd of contributors, some of them hostile, before a guard that was trained on trusted rows."""
