"""The library's views for other engines: one plain SQL first, then the words of each engine."""
