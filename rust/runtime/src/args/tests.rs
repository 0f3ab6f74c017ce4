#![allow(clippy::unwrap_used)]
use std::ffi::OsString;

use super::*;

fn os(arguments: &[&str]) -> impl Iterator<Item = OsString> {
    arguments.iter().map(OsString::from).collect::<Vec<_>>().into_iter()
}

fn parse(command: &str, arguments: &[&str]) -> pyctr_core::Result<Parsed> {
    Parsed::of(find(command).unwrap(), os(arguments))
}

fn fails(command: &str, arguments: &[&str]) -> String {
    parse(command, arguments).unwrap_err().to_string()
}

#[test]
fn test_tables_have_no_name_twice() {
    let mut names: Vec<_> = COMMANDS.iter().map(|command| command.name).collect();
    assert!(names.is_sorted());
    names.dedup();
    assert_eq!(names.len(), COMMANDS.len());
    for options in COMMANDS.iter().map(|command| command.options).chain([&GLOBAL_OPTIONS[..]]) {
        for (index, option) in options.iter().enumerate() {
            let earlier = &options[..index];
            assert!(earlier.iter().all(|other| other.long != option.long), "{}", option.long);
            assert!(
                option.short.is_none() || earlier.iter().all(|other| other.short != option.short),
                "{}",
                option.long
            );
        }
    }
}

#[test]
fn test_parse_every_spelling_of_an_option_is_the_same() {
    for arguments in [
        ["--bundle", "/b", "c"],
        ["-bundle", "/b", "c"],
        ["-b", "/b", "c"],
        ["--b", "/b", "c"],
        ["c", "--bundle", "/b"],
    ] {
        let parsed = parse("create", &arguments).unwrap();
        assert_eq!(parsed.path("bundle").unwrap().to_str(), Some("/b"), "{arguments:?}");
        assert_eq!(parsed.argument(0).unwrap(), Some("c"));
    }
    for arguments in [["--bundle=/b", "c"], ["-b=/b", "c"], ["c", "-bundle=/b"]] {
        assert_eq!(parse("create", &arguments).unwrap().path("bundle").unwrap().to_str(), Some("/b"));
    }
}

#[test]
fn test_parse_switch_takes_go_booleans() {
    for (argument, expected) in [
        ("-f", true),
        ("--force", true),
        ("--force=true", true),
        ("-f=1", true),
        ("--force=false", false),
        ("-f=0", false),
    ] {
        assert_eq!(parse("delete", &["c", argument]).unwrap().is_set("force"), expected, "{argument}");
    }
    assert_eq!(fails("delete", &["c", "--force=maybe"]), "parse --force: invalid boolean value \"maybe\"");
}

#[test]
fn test_parse_exec_leaves_the_commands_own_options_alone() {
    let parsed = parse("exec", &["-t", "--env", "A=1", "-e", "B=2", "c", "ls", "-l", "--env", "x"]).unwrap();
    assert!(parsed.is_set("tty"));
    assert_eq!(parsed.texts("env").unwrap(), ["A=1", "B=2"]);
    assert_eq!(parsed.arguments, ["c", "ls", "-l", "--env", "x"]);
}

#[test]
fn test_parse_value_may_begin_with_a_dash() {
    assert_eq!(parse("update", &["--memory-swap", "-1", "c"]).unwrap().number::<i64>("memory-swap").unwrap(), Some(-1));
    assert_eq!(parse("update", &["-r", "-", "c"]).unwrap().text("resources").unwrap(), Some("-"));
}

#[test]
fn test_parse_two_dashes_end_the_options() {
    assert_eq!(parse("kill", &["--", "-c", "9"]).unwrap().arguments, ["-c", "9"]);
}

#[test]
fn test_parse_mistakes_are_named() {
    assert_eq!(fails("state", &["--nope", "c"]), "flag provided but not defined: -nope");
    assert_eq!(fails("exec", &["-it", "c", "sh"]), "flag provided but not defined: -it");
    assert_eq!(fails("create", &["c", "--bundle"]), "flag needs an argument: -bundle");
    assert_eq!(fails("state", &[]), "\"state\" requires exactly 1 argument(s)");
    assert_eq!(fails("state", &["a", "b"]), "\"state\" requires exactly 1 argument(s)");
    assert_eq!(fails("exec", &[]), "\"exec\" requires a minimum of 1 argument(s)");
    assert_eq!(fails("kill", &["a", "b", "c"]), "\"kill\" requires between 1 and 2 argument(s)");
    let parsed = parse("run", &["--preserve-fds", "many", "c"]).unwrap();
    assert_eq!(
        parsed.number::<u32>("preserve-fds").unwrap_err().to_string(),
        "parse --preserve-fds: invalid value \"many\""
    );
}

#[test]
fn test_parse_last_value_counts() {
    assert_eq!(parse("run", &["-b", "x", "-b", "y", "c"]).unwrap().text("bundle").unwrap(), Some("y"));
}

#[test]
fn test_parse_globals_stop_at_the_command() {
    let parsed = parse_globals(os(&["--root", "/r", "--debug", "run", "--keep", "c"])).unwrap();
    assert!(parsed.is_set("debug"));
    assert_eq!(parsed.arguments, ["run", "--keep", "c"]);
}

#[test]
fn test_help_shows_every_option() {
    for command in &COMMANDS {
        let text = render_command(command);
        for option in command.options {
            assert!(text.contains(&format!("--{}", option.long)), "{} {}", command.name, option.long);
        }
        assert!(parse(command.name, &["--help"]).unwrap().is_set("help"));
    }
    let text = render_global();
    assert!(COMMANDS.iter().all(|command| text.contains(command.name)));
}
