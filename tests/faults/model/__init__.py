"""Row 29: landing as a deterministic simulation, with its real code.

Kafka and the lake are small objects in memory; what decides about commits is the worker's own: agents.land.Landing, agents.incarnation,
pipeline.takeover.TakeOver, agents.buffer.Buffer and pipeline.flush_decision; generators stop before each effect. One thread, and a scheduler that draws what
goes on next: a step of a worker, or something that happens to it.

    choices.py    what is drawn, from a seed or from a list that replays it
    kafka.py      a topic: offsets, holes, retention, compaction, a lost end, made anew, partitions added; the group
    lake.py       Delta's log: versions, application transactions, the rule of conflicts, replies that are lost or late
    worker.py     one life of a worker, from its first take-over to its crash
    referee.py    what must hold, looked at with every commit and at the end
    world.py      an interleaving: one small world from its beginning until it has come to rest
    mutations.py  the checks of the real code, each taken away
    explore.py    many interleavings, counted; a violation made short

An interleaving is one complete schedule, known by the sequence of its draws; those with the same sequence count once.
"""
