//! The only unsafe code of the core: one system call a function.
