"""The Docker Engine API over a unix socket (docs/api.md). Renders what `pyctr.engine` returns; decides nothing."""
