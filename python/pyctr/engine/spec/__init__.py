"""From a record to an OCI runtime-spec; `plan` puts together what the other modules make."""
