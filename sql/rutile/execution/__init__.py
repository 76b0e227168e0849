"""Running plans: point statements on the key-value client, queries as fragments, data changes in the write buffer."""
