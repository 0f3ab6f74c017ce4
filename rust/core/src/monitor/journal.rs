//! The journal of events: one JSON object a line, appended in one write so that lines never mix.

use std::collections::BTreeMap;
use std::path::Path;

use super::clock::Time;

/// Appends a container's event in the form of Docker's API. A journal that cannot be written is no reason to stop a container.
pub fn append(path: &Path, action: &str, id: &str, attributes: &BTreeMap<String, String>) {
    let time = Time::now();
    let entry = serde_json::json!({
        "Type": "container", "Action": action, "Actor": {"ID": id, "Attributes": attributes},
        "scope": "local", "time": time.seconds, "timeNano": time.as_nanoseconds(),
    });
    let mut line = entry.to_string().into_bytes();
    line.push(b'\n');
    let _ = crate::files::append_journal(path, &line);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn test_append_event_has_dockers_form() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let attributes = [("image".to_owned(), "a\nb".to_owned())].into();
        for action in ["start", "die"] {
            append(&path, action, "0123", &attributes);
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let events: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(events.len(), 2);
        assert_eq!(events[1]["Action"], "die");
        assert_eq!(events[1]["Actor"], serde_json::json!({"ID": "0123", "Attributes": {"image": "a\nb"}}));
        assert_eq!(events[1]["timeNano"].as_i64().unwrap() / 1_000_000_000, events[1]["time"].as_i64().unwrap());
    }
}
