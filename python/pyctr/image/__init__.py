"""Images: names, manifests, the content store, archives."""
