"""Import and export jobs: asked for over the API, kept in the definitions database, run by `headwater jobs`."""
