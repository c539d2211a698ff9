"""The HTTP API: one resource a file; server.py puts them together."""
