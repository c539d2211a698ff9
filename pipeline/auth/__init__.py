"""Who may call the API: signatures, write keys, guests, and how often."""
