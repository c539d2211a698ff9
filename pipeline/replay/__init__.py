"""Dead letters sent to Kafka again, after a fix, each once."""
