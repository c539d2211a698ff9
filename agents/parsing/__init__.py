"""How a record is read: by the compiled reader where it is beyond doubt, strictly where it is not."""
