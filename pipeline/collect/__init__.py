"""The collector's words: what a request held, made into records for Kafka. No HTTP and no Kafka in here."""
