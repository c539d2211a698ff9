"""What is sent and said to do harm."""
