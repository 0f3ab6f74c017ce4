"""Doing what the plan says, in threads, on the engine; nothing here parses a compose file or prints."""
