"""``python -m pyctr``."""

from pyctr.cli.main import command

command()
