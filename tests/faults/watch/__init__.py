"""What is seen from outside while faults strike."""
