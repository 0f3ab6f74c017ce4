"""The command line: finds the command, parses its options, renders what `pyctr.engine` returns."""
