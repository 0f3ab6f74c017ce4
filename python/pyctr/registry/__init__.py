"""Registries: distribution-spec 1.1 over HTTP. Knows names and digests, nothing of where images are kept.

challenge → credentials → hosts → transport → auth → client; `search` and `proxy` beside them.
"""
