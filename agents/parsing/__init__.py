"""How a record is read: fast where a signature proves that nothing is lost, strictly where it does not."""
