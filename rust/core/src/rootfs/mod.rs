//! The root file system: overlay, and what is looked up in it before the command runs.
