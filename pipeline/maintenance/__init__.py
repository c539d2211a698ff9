"""Keeps the lake small and quick beside the stream: compaction, checkpoints, old log, old files, the snapshot of dedup keys."""
