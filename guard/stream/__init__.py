"""The guard on Kafka: fetched lists of records in, each record out to one of clean, quarantine and dead letter."""
