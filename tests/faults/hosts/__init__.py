"""What a machine does to us: brokers, disks, memory, clocks, keys, releases, members of the group."""
