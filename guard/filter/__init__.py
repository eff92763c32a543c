"""The pipeline without a broker: a file or pipe of samples is split into clean, quarantined and rejected records."""
