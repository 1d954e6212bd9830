//! The page of all commands, from what `clap` knows of them.

use std::fmt::Write as _;

use clap::{Arg, Command, CommandFactory as _};

use super::cell;

/// The page.
pub(super) fn page() -> String {
    let mut command = crate::Cli::command();
    command.build();
    let mut page = String::from(
        "# Command line\n\nAll commands and their options, from the code that reads them. `cargo xtask COMMAND --help` shows the same.\n\n\
         **Exit codes**, of every command: 0 it is done; 1 a check failed, or a run could not go on; 2 what was given is wrong\n\
         (arguments, a scenario file, a trace), and nothing was started; 130 interrupted (Ctrl-C), with what was recorded so far kept.\n\n\
         Results go to standard output; logs, progress and complaints to standard error. Standard output that cannot be written, on a full\n\
         disk for example, is an error (exit code 1); a closed pipe is none. Colours are used on a terminal only, nowhere where the\n\
         environment has `NO_COLOR`, and everywhere where it has `CLICOLOR_FORCE`. What a command leaves behind goes to the folder that one\n\
         stands in (`runs/`), unless `--out` says otherwise.\n\n\
         A command is compiled when it is first asked for, with what it needs; `cargo install --path xtask --features full` installs a\n\
         program `xtask` that has them all, optimised. `xtask completions SHELL` and `xtask man` are for that program.\n\n| command | |\n|---|---|\n",
    );
    let shown: Vec<&Command> =
        command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help").collect();
    for sub in &shown {
        line(
            &mut page,
            format_args!("| [`{0}`](#cargo-xtask-{0}) | {1} |", sub.get_name(), cell(&about(sub))),
        );
    }
    for sub in shown {
        one(&mut page, "cargo xtask", sub, 2);
    }
    page
}

fn line(page: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String does not fail.
    let _: std::fmt::Result = writeln!(page, "{text}");
}

fn about(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

fn one(page: &mut String, before: &str, command: &Command, level: usize) {
    let name = format!("{before} {}", command.get_name());
    line(
        page,
        format_args!("\n{} `{name}`\n\n{}.\n", "#".repeat(level), about(command).trim_end_matches('.')),
    );
    let usage = command.clone().render_usage().to_string();
    line(page, format_args!("```text\n{}\n```\n", usage.trim_start_matches("Usage: ")));
    let arguments: Vec<&Arg> = command
        .get_arguments()
        .filter(|arg| !arg.is_hide_set() && arg.get_id() != "help" && arg.get_id() != "version")
        .collect();
    if !arguments.is_empty() {
        line(page, format_args!("| argument | default | meaning |\n|---|---|---|"));
        for argument in arguments {
            let default: Vec<_> =
                argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
            let default = if default.is_empty() || !takes_value(argument) {
                String::new()
            } else {
                format!("`{}`", default.join(" "))
            };
            let mut help = argument
                .get_long_help()
                .or_else(|| argument.get_help())
                .map(ToString::to_string)
                .unwrap_or_default();
            let possible: Vec<_> = argument
                .get_possible_values()
                .iter()
                .filter(|value| !value.is_hide_set())
                .map(|value| format!("`{}`", value.get_name()))
                .collect();
            if !possible.is_empty()
                && takes_value(argument)
                && !possible.iter().all(|value| help.contains(value.as_str()))
            {
                help = format!("{}. One of {}", help.trim_end_matches('.'), possible.join(", "));
            }
            line(page, format_args!("| `{}` | {default} | {} |", cell(&shape(argument)), cell(&help)));
        }
    }
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help") {
        one(page, &name, sub, level + 1);
    }
}

fn takes_value(argument: &Arg) -> bool {
    argument.get_action().takes_values()
}

/// An argument as it is typed.
fn shape(argument: &Arg) -> String {
    let value = argument.get_value_names().map_or_else(
        || argument.get_id().to_string().to_uppercase(),
        |names| names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
    );
    match argument.get_long() {
        Some(long) if takes_value(argument) => format!("--{long} {value}"),
        Some(long) => format!("--{long}"),
        None if argument.is_required_set() => value,
        None => format!("[{value}]"),
    }
}
