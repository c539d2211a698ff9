"""What is done to a batch; one step a file, each a plain function over Arrow tables."""
