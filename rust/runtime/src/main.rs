//! `pyctr-runtime`: the OCI command line and the container monitor.

fn main() {}
