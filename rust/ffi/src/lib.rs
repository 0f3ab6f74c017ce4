//! `pyctr._core`: the core seen from Python. Thin: every function here converts, calls the core, converts back.

#![allow(clippy::needless_pass_by_value)] // PyO3 hands arguments over as values

use pyo3::prelude::*;

mod archive;
mod cgroup;
mod channel;
mod error;
mod files;
mod growing;
mod interrupt;
mod json;
mod layer;
mod logs;
mod network;
mod pack;
mod paths;
mod process;
mod records;
mod rootless;
mod seccomp;
mod tree;

#[pymodule]
mod _core {
    #[pymodule_export]
    use crate::archive::{ArchiveReader, Member};
    #[pymodule_export]
    use crate::cgroup::{cgroup_processes, cgroup_stats};
    #[pymodule_export]
    use crate::channel::Channel;
    #[pymodule_export]
    use crate::files::{append_journal, remove_tree, sync_file_system, watch_directory, write_atomic};
    #[pymodule_export]
    use crate::growing::extract_growing_layer;
    #[pymodule_export]
    use crate::json::{json_dumps, json_loads};
    #[pymodule_export]
    use crate::layer::{BlobInfo, LayerInfo, extract_layer, sha256, store_blob};
    #[pymodule_export]
    use crate::logs::LogDecoder;
    #[pymodule_export]
    use crate::network::{network_make, network_rebuild, network_release, network_remove};
    #[pymodule_export]
    use crate::pack::{
        WrittenLayer, archive_path, compress_blob, copy_directory, diff_layer, export_tree, layer_changes,
        unpack_archive,
    };
    #[pymodule_export]
    use crate::paths::{mount_layers, stat_path};
    #[pymodule_export]
    use crate::process::{capability_names, kernel_version, permitted_capabilities, process_start_time, send_signal};
    #[pymodule_export]
    use crate::records::read_records;
    #[pymodule_export]
    use crate::rootless::{rootless_enter, rootless_keeper};
    #[pymodule_export]
    use crate::seccomp::resolve_seccomp_profile;
    #[pymodule_export]
    use crate::tree::{CopiedTree, SourceTree, find_owner, make_directory, settle_upper};
}
