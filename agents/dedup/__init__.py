"""The dedup window: keys of what landed, in memory and on disk, filled from the lake."""
