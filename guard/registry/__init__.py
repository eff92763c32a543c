"""The registry: which bundle serves, which ones did, who decided so and why."""
