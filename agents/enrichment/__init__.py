"""The enrichments: one select each, and what they look up."""
