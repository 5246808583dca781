//! Help texts, exit codes and the journey from arguments to the API and back.

use super::*;
use std::ffi::OsString;

fn commands(command: &clap::Command, path: &str, found: &mut Vec<(String, String)>) {
    for sub in command.get_subcommands() {
        let path = format!("{path} {}", sub.get_name());
        let mut sub = sub.clone().term_width(100).bin_name(path.clone());
        found.push((path.clone(), sub.render_long_help().to_string()));
        commands(&sub, &path, found);
    }
}

#[test]
fn the_help_of_every_command_is_as_reviewed() {
    // Without the environment of whoever runs the test.
    let mut whole = Cli::command()
        .term_width(100)
        .mut_args(|arg| arg.hide_env_values(true));
    whole.build();
    let mut texts = vec![("heartbreak".to_owned(), whole.render_long_help().to_string())];
    commands(&whole, "heartbreak", &mut texts);
    let text: Vec<String> = texts
        .iter()
        .map(|(path, help)| {
            let help: Vec<&str> = help.lines().map(str::trim_end).collect();
            format!("$ {path} --help\n{}", help.join("\n"))
        })
        .collect();
    insta::assert_snapshot!("help", text.join("\n\n"));
}

#[test]
fn clap_finds_nothing_to_complain_about() {
    Cli::command().debug_assert();
}

#[test]
fn the_help_lists_every_exit_code() {
    let help = Cli::command().render_long_help().to_string();
    for exit in Exit::ALL {
        assert!(
            help.contains(&format!("{:>2}  {}", exit.code(), exit.meaning())),
            "{exit:?}"
        );
    }
}

#[test]
fn every_flag_that_names_a_place_has_its_environment_twin() {
    let command = Cli::command();
    for name in ["url", "token_file", "settings", "log"] {
        let arg = command.get_arguments().find(|a| a.get_id() == name).unwrap();
        assert!(arg.get_env().is_some(), "{name}");
    }
}

fn parse(args: &[&str]) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(["heartbreak"].iter().chain(args).map(OsString::from))
}

#[test]
fn what_cannot_be_meant_is_wrong_usage() {
    for args in [
        &[][..],
        &["halt"],
        &["deny", "r-7Q2MK4XN"],
        &["report"],
        &["report", "r-7Q2MK4XN", "--from", "x.json"],
        &["plan", "cart", "--snapshot", "a", "--save-snapshot", "b"],
        &["get", "nodes"],
        &["get", "runs", "--most", "0"],
        &["rampage"],
    ] {
        assert!(parse(args).is_err(), "{args:?}");
    }
    assert!(parse(&["halt", "too", "much", "fire"]).is_ok());
    assert!(parse(&["-o", "wide", "get", "policies"]).is_ok());
    assert!(parse(&["get", "runs", "-w", "-o", "json", "--url", "http://x:1"]).is_ok());
}

#[test]
fn help_and_version_are_no_errors_and_wrong_usage_is_64() {
    assert_eq!(refuse_usage(&parse(&["--version"]).unwrap_err()), Exit::Done);
    assert_eq!(refuse_usage(&parse(&["why", "--help"]).unwrap_err()), Exit::Done);
    assert_eq!(refuse_usage(&parse(&["rampage"]).unwrap_err()), Exit::Usage);
}
