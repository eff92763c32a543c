"""Review of held records: what is held and why, and what a person decides about it, in files and on Kafka."""
