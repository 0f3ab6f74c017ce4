"""The labels docker compose finds its own things by (docker/compose pkg/api/labels.go)."""

from __future__ import annotations

PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"
NUMBER = "com.docker.compose.container-number"
ONEOFF = "com.docker.compose.oneoff"
SLUG = "com.docker.compose.slug"
HASH = "com.docker.compose.config-hash"
DEPENDS_ON = "com.docker.compose.depends_on"
IMAGE = "com.docker.compose.image"
IMAGE_BUILDER = "com.docker.compose.image.builder"
CONFIG_FILES = "com.docker.compose.project.config_files"
WORKING_DIR = "com.docker.compose.project.working_dir"
ENVIRONMENT_FILE = "com.docker.compose.project.environment_file"
REPLACE = "com.docker.compose.replace"
VERSION = "com.docker.compose.version"
NETWORK = "com.docker.compose.network"
VOLUME = "com.docker.compose.volume"
#: What `pyctr system boot` goes by where docker compose has nothing: what a service's files said when it was made.
FILES = "org.pyctr.compose.files"
#: The compose whose labels and hashes these are.
COMPOSE_VERSION = "2.40.3"
