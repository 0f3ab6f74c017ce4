//! The OCI runtime specification: bytes to validated types.
