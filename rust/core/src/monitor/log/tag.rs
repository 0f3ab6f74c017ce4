//! `--log-opt tag`.

use crate::monitor::config::Config;

const SHORT_ID: usize = 12;

/// An id as people see it.
pub fn short(id: &str) -> &str {
    id.get(..SHORT_ID).unwrap_or(id)
}

/// A tag with Docker's placeholders filled in; the part that is none of them as an error.
pub fn expand(text: &str, config: &Config) -> std::result::Result<String, String> {
    let attribute = |key: &str| config.event_attributes.get(key).map_or("", String::as_str);
    let mut tag = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (inside, behind) = after.split_once("}}").ok_or_else(|| format!("{{{{{after}"))?;
        tag.push_str(before);
        tag.push_str(match inside.trim() {
            ".ID" => short(&config.id),
            ".FullID" => &config.id,
            ".Name" => attribute("name"),
            ".ImageName" => attribute("image"),
            ".DaemonName" => "pyctr",
            other => return Err(format!("{{{{{other}}}}}")),
        });
        rest = behind;
    }
    tag.push_str(rest);
    Ok(tag)
}
