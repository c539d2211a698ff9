"""Asking the lake: queries/ as DuckDB views over pinned tables, and what SQL of people may say."""
