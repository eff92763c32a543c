"""report.html: what a bundle was made from, what it is worth, and what it will not catch, in one file."""
