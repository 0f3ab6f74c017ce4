//! Arguments to values.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::str::FromStr;

use pyctr_core::{Error, Result};

use super::{Command, Count, GLOBAL_OPTIONS, Opt, Takes};

const HELP: Opt = Opt { long: "help", short: Some('h'), takes: Takes::Nothing, help: "show help", default: None };

/// What was given.
#[derive(Debug, Default)]
pub struct Parsed {
    options: Vec<(&'static str, OsString)>,
    /// What is not an option, in order.
    pub arguments: Vec<OsString>,
}

impl Parsed {
    /// Whether the switch is on.
    pub fn is_set(&self, name: &str) -> bool {
        self.last(name).is_some_and(|value| value == "true")
    }

    /// Whether the option was given at all.
    pub fn has(&self, name: &str) -> bool {
        self.last(name).is_some()
    }

    /// The option's value as a path; an empty one counts as absent, as in runc.
    pub fn path(&self, name: &str) -> Option<&Path> {
        self.last(name).filter(|value| !value.is_empty()).map(Path::new)
    }

    /// The option's value as text; an empty one counts as absent.
    pub fn text(&self, name: &str) -> Result<Option<&str>> {
        self.last(name).filter(|value| !value.is_empty()).map(|value| utf8(name, value)).transpose()
    }

    /// Every value of an option that may be given again.
    pub fn texts(&self, name: &str) -> Result<Vec<&str>> {
        self.options.iter().filter(|(long, _)| *long == name).map(|(long, value)| utf8(long, value)).collect()
    }

    /// The option's value as a number.
    pub fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        text.parse()
            .map(Some)
            .map_err(|_| Error::invalid("parse", format!("--{name}"), format!("invalid value {text:?}")))
    }

    /// The argument at `index` as text.
    pub fn argument(&self, index: usize) -> Result<Option<&str>> {
        self.arguments.get(index).map(|argument| utf8("argument", argument)).transpose()
    }

    /// What is not an option, for another table to parse.
    pub fn into_arguments(self) -> impl Iterator<Item = OsString> {
        self.arguments.into_iter()
    }

    fn last(&self, name: &str) -> Option<&OsStr> {
        self.options.iter().rev().find(|(long, _)| *long == name).map(|(_, value)| value.as_os_str())
    }

    /// Parses a command's own arguments.
    pub fn of(command: &Command, arguments: impl Iterator<Item = OsString>) -> Result<Self> {
        let mut parsed = Self::default();
        let mut arguments = arguments;
        parsed.take(command.options, command.options_first, &mut arguments)?;
        if !parsed.is_set("help") {
            check_count(command, parsed.arguments.len())?;
        }
        Ok(parsed)
    }

    fn take(
        &mut self,
        options: &'static [Opt],
        options_first: bool,
        arguments: &mut impl Iterator<Item = OsString>,
    ) -> Result<()> {
        while let Some(argument) = arguments.next() {
            let bytes = argument.as_bytes();
            if bytes == b"--" {
                self.arguments.extend(arguments);
                break;
            }
            if bytes.len() < 2 || bytes[0] != b'-' {
                self.arguments.push(argument);
                if options_first {
                    self.arguments.extend(arguments);
                    break;
                }
                continue;
            }
            self.take_option(options, bytes, arguments)?;
        }
        Ok(())
    }

    fn take_option(
        &mut self,
        options: &'static [Opt],
        argument: &[u8],
        rest: &mut impl Iterator<Item = OsString>,
    ) -> Result<()> {
        let name = argument.strip_prefix(b"--").or_else(|| argument.strip_prefix(b"-")).unwrap_or(argument);
        let (name, value) = match name.iter().position(|byte| *byte == b'=') {
            Some(at) => (&name[..at], Some(OsStr::from_bytes(&name[at + 1..]).to_owned())),
            None => (name, None),
        };
        let Some(option) = lookup(options, name) else {
            let name = String::from_utf8_lossy(name);
            return Err(Error::invalid(format!("flag provided but not defined: -{name}"), "", ""));
        };
        let value = match option.takes {
            Takes::Nothing => switch_value(option, value)?.into(),
            Takes::One | Takes::Many => value
                .or_else(|| rest.next())
                .ok_or_else(|| Error::invalid(format!("flag needs an argument: -{}", option.long), "", ""))?,
        };
        self.options.push((option.long, value));
        Ok(())
    }
}

fn lookup(options: &'static [Opt], name: &[u8]) -> Option<&'static Opt> {
    static HELP_OPTION: Opt = HELP;
    let is = |option: &&'static Opt| {
        option.long.as_bytes() == name
            || (name.len() == 1 && option.short.is_some_and(|short| short == char::from(name[0])))
    };
    options.iter().find(is).or_else(|| Some(&HELP_OPTION).filter(is))
}

/// Go's strconv.ParseBool.
#[allow(clippy::needless_pass_by_value)] // it is taken out of the argument list
fn switch_value(option: &Opt, value: Option<OsString>) -> Result<&'static str> {
    match value.as_deref().map(OsStr::as_bytes) {
        None | Some(b"1" | b"t" | b"T" | b"true" | b"TRUE" | b"True") => Ok("true"),
        Some(b"0" | b"f" | b"F" | b"false" | b"FALSE" | b"False") => Ok("false"),
        Some(other) => {
            let other = String::from_utf8_lossy(other);
            Err(Error::invalid("parse", format!("--{}", option.long), format!("invalid boolean value {other:?}")))
        }
    }
}

fn utf8<'a>(name: &str, value: &'a OsStr) -> Result<&'a str> {
    value.to_str().ok_or_else(|| Error::invalid("parse", name, "is not UTF-8"))
}

fn check_count(command: &Command, count: usize) -> Result<()> {
    let wanted = match command.count {
        Count::Exactly(wanted) if count != wanted => format!("exactly {wanted}"),
        Count::AtLeast(least) if count < least => format!("a minimum of {least}"),
        Count::Between(least, most) if count < least || count > most => format!("between {least} and {most}"),
        _ => return Ok(()),
    };
    Err(Error::invalid(format!("{:?} requires {wanted} argument(s)", command.name), "", ""))
}

/// Parses the options before the command; the command and the rest are the arguments.
pub fn parse_globals(arguments: impl Iterator<Item = OsString>) -> Result<Parsed> {
    let mut parsed = Parsed::default();
    let mut arguments = arguments;
    parsed.take(&GLOBAL_OPTIONS, true, &mut arguments)?;
    Ok(parsed)
}
