"""The wiring: settings, topology, transport, the command line, and what runs beside the stream."""
