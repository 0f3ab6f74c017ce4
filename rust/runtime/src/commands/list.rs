//! `list`.

use std::fmt::Write;
use std::os::unix::fs::MetadataExt;

use pyctr_core::{Error, Kind, Result};

use super::{Context, print};
use crate::args::Parsed;
use crate::container::{Directory, State, Status, check_id};
use crate::process;

struct Row {
    state: State,
    status: Status,
    owner: String,
}

/// Prints every container below `--root`, by name.
pub fn run(context: &Context, parsed: &Parsed) -> Result<u8> {
    let json = match parsed.text("format")?.unwrap_or("table") {
        "table" => false,
        "json" => true,
        other => return Err(Error::invalid(format!("invalid format option {other:?}"), "", "")),
    };
    let rows = rows(context)?;
    if parsed.is_set("quiet") {
        return print(&rows.iter().flat_map(|row| [row.state.id.as_str(), "\n"]).collect::<String>());
    }
    if json {
        let public: Vec<_> = rows.iter().map(|row| row.state.public(row.status, &row.owner)).collect();
        // Go renders an empty slice as null, and runc with it.
        let text = if public.is_empty() { Ok("null".to_owned()) } else { serde_json::to_string(&public) };
        return print(&text.map_err(|error| Error::new(Kind::Corrupt, "render list", "", error.to_string()))?);
    }
    print(&table(&rows))
}

fn rows(context: &Context) -> Result<Vec<Row>> {
    let entries = match std::fs::read_dir(&context.root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("list", &context.root, &error)),
    };
    let mut names: Vec<String> = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| check_id(name).is_ok());
    names.sort();
    let mut owners = Owners::default();
    let mut rows = Vec::with_capacity(names.len());
    for name in names {
        // What is gone by now, or not yet there, is no container.
        let Ok(directory) = Directory::open(&context.root, &name) else { continue };
        let state = match directory.load() {
            Ok(state) => state,
            Err(error) if error.kind == Kind::NotFound => continue,
            Err(error) => {
                context.log.warn(&error.to_string());
                continue;
            }
        };
        let uid = std::fs::metadata(directory.path()).map_or(0, |metadata| metadata.uid());
        rows.push(Row { status: process::status(&directory, &state)?, owner: owners.name(uid), state });
    }
    Ok(rows)
}

/// User names, read from /etc/passwd once.
#[derive(Default)]
struct Owners(Option<String>);

impl Owners {
    fn name(&mut self, uid: u32) -> String {
        let passwd = self.0.get_or_insert_with(|| std::fs::read_to_string("/etc/passwd").unwrap_or_default());
        let wanted = uid.to_string();
        let line = passwd.lines().find(|line| line.split(':').nth(2) == Some(&wanted));
        line.and_then(|line| line.split(':').next()).map_or_else(|| format!("#{uid}"), str::to_owned)
    }
}

/// Go's tabwriter with runc's parameters: columns of at least 12 characters, three blanks between.
fn table(rows: &[Row]) -> String {
    let head = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned);
    let mut lines = vec![head];
    lines.extend(rows.iter().map(|row| {
        [
            row.state.id.clone(),
            if row.status == Status::Stopped { 0 } else { row.state.pid }.to_string(),
            row.status.as_str().to_owned(),
            row.state.bundle.display().to_string(),
            row.state.created.clone(),
            row.owner.clone(),
        ]
    }));
    let mut widths = [0; 5];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(12).max(cell.chars().count() + 3);
        }
    }
    let mut text = String::new();
    for line in &lines {
        for (cell, width) in line.iter().zip(widths) {
            let _ = write!(text, "{cell:width$}");
        }
        let _ = writeln!(text, "{}", line[5]);
    }
    text
}
