//! Rules for `mounts`.

use std::path::{Component, Path, PathBuf};

use oci_spec::runtime::{Mount, Spec};

use super::{invalid, linux};
use crate::Result;

/// Checks every mount; a relative destination is made absolute, with a warning (runc does so too).
pub fn validate(spec: &mut Spec, warnings: &mut Vec<String>) -> Result<()> {
    for (index, mount) in spec.mounts_mut().iter_mut().flatten().enumerate() {
        let field = format!("mounts[{index}]");
        let destination = mount.destination();
        if destination.as_os_str().is_empty() {
            return Err(invalid(field, "destination is empty"));
        }
        if !destination.is_absolute() {
            warnings.push(format!("mount destination {} is not absolute; taken from /", destination.display()));
            let absolute = Path::new("/").join(destination);
            mount.set_destination(absolute);
        }
        if mount.destination().components().any(|part| part == Component::ParentDir) {
            let cleaned = clean(mount.destination());
            mount.set_destination(cleaned);
        }
        check_mappings(mount, &field)?;
    }
    Ok(())
}

/// Resolves `..` by the words alone, never above `/` (Go's filepath.Clean, which runc applies).
fn clean(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::ParentDir => {
                cleaned.pop();
            }
            Component::Normal(name) => cleaned.push(name),
            _ => {}
        }
    }
    cleaned
}

fn check_mappings(mount: &Mount, field: &str) -> Result<()> {
    let (uids, gids) = (mount.uid_mappings().as_deref(), mount.gid_mappings().as_deref());
    let (uids, gids) = (uids.unwrap_or_default(), gids.unwrap_or_default());
    if uids.is_empty() && gids.is_empty() {
        return Ok(());
    }
    if uids.is_empty() || gids.is_empty() {
        return Err(invalid(field, "uidMappings and gidMappings go together"));
    }
    let bind = mount.typ().as_deref() == Some("bind")
        || mount.options().iter().flatten().any(|option| option == "bind" || option == "rbind");
    if !bind {
        return Err(invalid(field, "id mappings are for bind mounts only"));
    }
    linux::check_mappings(&format!("{field}.uidMappings"), uids)?;
    linux::check_mappings(&format!("{field}.gidMappings"), gids)
}
