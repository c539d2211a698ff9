"""Endpoints merged from their updates: read, looked up, brought in and out."""
