"""Advice on a Dockerfile: what BuildKit's build checks say, by their names (docs.docker.com/reference/build-checks)."""
