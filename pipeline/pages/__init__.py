"""The reference pages, derived from the code."""
