"""Builds: from a plan of steps to an image (docs/build-execute.md). Nothing here prints."""
