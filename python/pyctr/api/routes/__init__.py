"""One module a resource; each has `ROUTES`."""
