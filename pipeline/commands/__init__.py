"""One file for each `headwater` command: arguments in, report out; the work is done elsewhere."""
