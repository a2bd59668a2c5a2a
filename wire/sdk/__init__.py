"""What an engine's end of the link needs, for any engine: stops, latch, lease, gate, spool and session."""
