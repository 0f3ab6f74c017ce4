//! The one process that watches a container: stdio, terminal, logs, exit status, clean-up.
