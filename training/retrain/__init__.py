"""Retraining without letting an attacker train the guard: candidates, their audit, and champion against challenger."""
