"""Pure planning of a compose project: its model and what is there in, an ordered graph of operations out. No I/O."""
