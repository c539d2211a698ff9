"""Files of endpoints, as Pinpoint's users have them: CSV with dot paths and NDJSON, read into updates and written from the merged state."""
