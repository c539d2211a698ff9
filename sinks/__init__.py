"""Where data leaves for another system; one system a file."""
