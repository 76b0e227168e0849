"""Definitions: CREATE TABLE to a table schema, and a schema back to the text that would make it."""
