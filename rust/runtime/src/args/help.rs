//! What `--help` and `--version` print.

use std::fmt::Write;

use pyctr_core::spec::VERSION_RANGE;

use super::{COMMANDS, Command, GLOBAL_OPTIONS, Opt, Takes};

const NAME: &str = "pyctr-runtime";

/// The text of `--version`: the first line is what podman shows, `spec:` what dockerd looks for.
pub fn render_version() -> String {
    format!("{NAME} version {}\nspec: {}\n", env!("CARGO_PKG_VERSION"), VERSION_RANGE.1)
}

/// The text of `--help`.
pub fn render_global() -> String {
    let mut text = format!(
        "NAME:\n   {NAME} - Open Container Initiative runtime\n\nUSAGE:\n   {NAME} [global options] command [command options] [arguments...]\n\nCOMMANDS:\n"
    );
    let width = COMMANDS.iter().map(|command| command.name.len()).max().unwrap_or(0);
    for command in &COMMANDS {
        let _ = writeln!(text, "   {:width$}  {}", command.name, command.summary);
    }
    text.push_str("\nGLOBAL OPTIONS:\n");
    render_options(&mut text, &GLOBAL_OPTIONS);
    text
}

/// The text of `COMMAND --help`.
pub fn render_command(command: &Command) -> String {
    let mut text =
        format!("NAME:\n   {NAME} {} - {}\n\nUSAGE:\n   {NAME} {}", command.name, command.summary, command.name);
    if !command.options.is_empty() {
        text.push_str(" [command options]");
    }
    if !command.arguments.is_empty() {
        let _ = write!(text, " {}", command.arguments);
    }
    text.push('\n');
    if !command.options.is_empty() {
        text.push_str("\nOPTIONS:\n");
        render_options(&mut text, command.options);
    }
    text
}

fn render_options(text: &mut String, options: &[Opt]) {
    let heads: Vec<String> = options.iter().map(head).collect();
    let width = heads.iter().map(String::len).max().unwrap_or(0);
    for (option, head) in options.iter().zip(&heads) {
        let _ = write!(text, "   {head:width$}  {}", option.help);
        if let Some(default) = option.default {
            let _ = write!(text, " (default: {default})");
        }
        text.push('\n');
    }
}

fn head(option: &Opt) -> String {
    let value = if option.takes == Takes::Nothing { "" } else { " value" };
    match option.short {
        Some(short) => format!("--{}{value}, -{short}{value}", option.long),
        None => format!("--{}{value}", option.long),
    }
}
