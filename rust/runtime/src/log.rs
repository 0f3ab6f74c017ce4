//! Messages as logrus writes them: podman, conmon and containerd read these lines.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use pyctr_core::{Error, Result};

use crate::clock;

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `time="…" level=error msg="…"`.
    Text,
    /// One JSON object a line.
    Json,
}

impl Format {
    /// Reads `--log-format`.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(Error::invalid(format!("unknown log-format {other:?}"), "", "")),
        }
    }
}

/// Where messages go.
#[derive(Debug)]
pub struct Log {
    file: Option<File>,
    format: Format,
    debug: bool,
}

impl Log {
    /// Standard error, as text: before the options are known.
    pub fn standard_error() -> Self {
        Self { file: None, format: Format::Text, debug: false }
    }

    /// Opens the log file, if one is asked for; /dev/stderr is not opened but used.
    pub fn open(path: Option<&Path>, format: Format, debug: bool) -> Result<Self> {
        let path = path.filter(|path| *path != Path::new("/dev/stderr"));
        let file = path
            .map(|path| {
                let mut options = File::options();
                options.append(true).create(true).mode(0o644);
                options.open(path).map_err(|error| Error::io("open log", path, &error))
            })
            .transpose()?;
        Ok(Self { file, format, debug })
    }

    /// A message for whoever debugs.
    pub fn debug(&self, message: impl FnOnce() -> String) {
        if self.debug {
            self.write("debug", &message());
        }
    }

    /// Something the user should know that did not stop anything.
    pub fn warn(&self, message: &str) {
        self.write("warning", message);
    }

    /// Why the command failed. With a log file, standard error has the plain message too: conmon shows it to the user.
    pub fn error(&self, message: &str) {
        self.write("error", message);
        if self.file.is_some() {
            let _ = writeln!(std::io::stderr(), "{message}");
        }
    }

    /// One write a line, so that lines of several writers do not mix. There is nobody to tell that logging failed.
    fn write(&self, level: &str, message: &str) {
        let line = render(self.format, level, message, &clock::now());
        let _ = match &self.file {
            Some(file) => (&*file).write_all(line.as_bytes()),
            None => std::io::stderr().write_all(line.as_bytes()),
        };
    }
}

fn render(format: Format, level: &str, message: &str, time: &str) -> String {
    match format {
        // Logrus sorts the keys.
        Format::Json => {
            let message = serde_json::Value::from(message);
            format!("{{\"level\":\"{level}\",\"msg\":{message},\"time\":\"{time}\"}}\n")
        }
        Format::Text => {
            let mut line = format!("time=\"{time}\" level={level} msg=");
            quote(&mut line, message);
            line.push('\n');
            line
        }
    }
}

/// Logrus quotes what is empty or has anything but these characters.
fn quote(line: &mut String, text: &str) {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/@^+".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        line.push_str(text);
        return;
    }
    line.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => line.extend(['\\', character]),
            '\n' => line.push_str("\\n"),
            '\t' => line.push_str("\\t"),
            '\r' => line.push_str("\\r"),
            control if control.is_control() => {
                let _ = write!(line, "\\u{:04x}", u32::from(control));
            }
            other => line.push(other),
        }
    }
    line.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_render_text_quotes_as_logrus() {
        assert_eq!(render(Format::Text, "error", "plain", "T"), "time=\"T\" level=error msg=plain\n");
        assert_eq!(
            render(Format::Text, "error", "exec \"a\\b\":\n\u{1b}é", "T"),
            "time=\"T\" level=error msg=\"exec \\\"a\\\\b\\\":\\n\\u001bé\"\n"
        );
        assert_eq!(render(Format::Text, "error", "", "T"), "time=\"T\" level=error msg=\"\"\n");
    }

    #[test]
    fn test_render_json_is_one_sorted_object_a_line() {
        assert_eq!(
            render(Format::Json, "error", "a \"b\"\n", "T"),
            "{\"level\":\"error\",\"msg\":\"a \\\"b\\\"\\n\",\"time\":\"T\"}\n"
        );
    }

    #[test]
    fn test_format_unknown_is_refused() {
        assert!(Format::parse("xml").is_err());
    }
}
