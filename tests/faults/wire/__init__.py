"""What stands between two processes: the fault proxy, a recorder, a server that nobody may ask."""
