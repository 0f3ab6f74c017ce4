//! `pyctr._core`: the core seen from Python. Thin: every function here converts, calls the core, converts back.

use pyo3::prelude::*;

mod error;
mod json;

#[pymodule]
mod _core {
    #[pymodule_export]
    use crate::json::{json_dumps, json_loads};
}
