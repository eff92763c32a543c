"""The user's own red team: every attack that applies, against a bundle and on data of the user's own."""
