"""The local stack: Kafka, S3 and workers of one machine, real programs kept running by supervisor."""
