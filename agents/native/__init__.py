"""What Python is too slow for, in C: reading records into columns and Kafka's record batches; compiled when it is first needed."""
