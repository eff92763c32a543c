"""The review page: a local web server over a quarantine."""
