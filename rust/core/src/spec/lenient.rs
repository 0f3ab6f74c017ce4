//! The second attempt at a document that did not parse: what runc merely warns about is repaired, the rest stays an error.
//!
//! Only documents that failed once come here, so the usual one is read once, straight into its types.

use oci_spec::runtime::Capability;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Parses `bytes` after dropping unknown capabilities (runc: "ignoring unknown or unavailable capabilities"), filling
/// in a missing `user` (uid 0, as Go's zero value) and spelling `SCHED_FLAG_DL_OVERRUN` as oci-spec 0.10 wants it.
///
/// Where there was nothing to repair the first error stands: it knows line and column.
pub fn parse<T: DeserializeOwned>(
    bytes: &[u8],
    first: serde_json::Error,
    warnings: &mut Vec<String>,
) -> Result<T, serde_json::Error> {
    if !first.is_data() {
        return Err(first);
    }
    let Ok(Value::Object(mut document)) = serde_json::from_slice::<Value>(bytes) else {
        return Err(first);
    };
    let mut repairs = Vec::new();
    let repaired = match document.get_mut("process") {
        Some(Value::Object(process)) => repair_process(process, &mut repairs),
        Some(_) => false,
        None => document.contains_key("args") && repair_process(&mut document, &mut repairs),
    };
    if !repaired {
        return Err(first);
    }
    let value = serde_json::from_value(Value::Object(document))?;
    warnings.append(&mut repairs);
    Ok(value)
}

fn repair_process(process: &mut Map<String, Value>, warnings: &mut Vec<String>) -> bool {
    let mut repaired = false;
    if !process.contains_key("user") {
        process.insert("user".to_owned(), Value::Object(Map::new()));
        repaired = true;
    }
    if let Some(Value::Array(flags)) = process.get_mut("scheduler").and_then(|scheduler| scheduler.get_mut("flags")) {
        for flag in flags.iter_mut().filter(|flag| flag.as_str() == Some("SCHED_FLAG_DL_OVERRUN")) {
            *flag = Value::String("SCHED_FLAG_D_L_OVERRUN".to_owned());
            repaired = true;
        }
    }
    let Some(Value::Object(sets)) = process.get_mut("capabilities") else {
        return repaired;
    };
    for (set, names) in sets.iter_mut() {
        let Value::Array(names) = names else { continue };
        names.retain(|name| {
            let Some(text) = name.as_str() else {
                return true;
            };
            let known = serde_json::from_value::<Capability>(name.clone()).is_ok();
            if !known {
                warnings.push(format!("unknown capability {text:?} in process.capabilities.{set} is ignored"));
                repaired = true;
            }
            known
        });
    }
    repaired
}
