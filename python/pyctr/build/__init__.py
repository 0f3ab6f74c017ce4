"""Dockerfiles: reading them and planning what is to be done (docs/build.md). Carrying it out is `pyctr.engine.build`."""
