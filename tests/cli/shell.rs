//! Completions, man pages and help: what a shell's user meets first.

use std::process::Command;

use crate::workspace::{Workspace, run};

const COMMANDS: [&str; 12] = [
    "init",
    "validate",
    "plan",
    "apply",
    "watch",
    "adopt",
    "lock",
    "sandbox",
    "schema",
    "explain",
    "doctor",
    "completions",
];

#[test]
fn every_command_teaches_by_examples_that_are_right() {
    let workspace = Workspace::new();
    let of_lock = ["lock show", "lock check", "lock mv", "lock rm"];
    for command in COMMANDS.into_iter().filter(|command| *command != "lock").chain(of_lock) {
        let words: Vec<_> = command.split(' ').collect();
        let help = workspace.run(&[&words[..], &["--help"]].concat()).ended(0).out;
        let (_, examples) =
            help.split_once("\nExamples:\n").unwrap_or_else(|| panic!("{command}: {help}"));
        let mut seen = 0;
        for line in examples.lines().take_while(|line| !line.is_empty()) {
            let Some((_, line)) = line.split_once("couponctl ") else { continue };
            // Two spaces part an example from what it does.
            let example = line.split("  ").next().unwrap();
            let words: Vec<_> =
                example.split(' ').take_while(|word| !matches!(*word, "|" | ">" | ">>")).collect();
            let words: Vec<_> = words.iter().map(|word| word.trim_matches('\'')).collect();
            assert!(example.contains(command) || words.contains(&"-C"), "{command}: {example}");
            // Known to the program, flags and all: with --help, nothing is carried out.
            workspace.run(&[&words[..], &["--help"]].concat()).ended(0);
            seen += 1;
        }
        assert!(seen > 0, "{command}: {examples}");
    }
}

#[test]
fn every_shell_gets_completions_that_know_the_commands() {
    let workspace = Workspace::new();
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let script = workspace.run(&["completions", shell]).ended(0).out;
        for command in COMMANDS {
            assert!(script.contains(command), "{shell}: {command}");
        }
        workspace.write(shell, script);
    }
    let run = workspace.run(&["completions", "tcsh"]).ended(1);
    assert!(
        run.err.contains("[possible values: bash, elvish, fish, powershell, zsh]"),
        "{}",
        run.err
    );
}

#[cfg(unix)]
#[test]
fn bash_completes_commands_and_flags() {
    let workspace = Workspace::new();
    workspace.write("completions", workspace.run(&["completions", "bash"]).ended(0).out);
    let mut bash = Command::new("bash");
    bash.current_dir(workspace.path("")).args(["--norc", "-c"]);
    bash.arg(
        "source completions
         complete_words() {
             COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
             _couponctl couponctl \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD-1]}\"
             echo \"${COMPREPLY[*]}\"
         }
         complete_words couponctl ad
         complete_words couponctl plan --detailed
         complete_words couponctl plan --format ''",
    );
    assert_eq!(run(bash).ended(0).out, "adopt\n--detailed-exitcode\ntext json markdown\n");
}

#[test]
fn there_is_a_man_page_for_each_command() {
    let workspace = Workspace::new();
    workspace.run(&["man", "share/man1"]).ended(0);
    for command in COMMANDS {
        let page = workspace.read(&format!("share/man1/couponctl-{command}.1"));
        assert!(page.contains("Examples:") || command == "lock", "{command}");
    }
    assert!(workspace.read("share/man1/couponctl.1").contains("First steps"));
    // A file in the way.
    let run = workspace.run(&["man", "couponctl.yaml"]).ended(1);
    assert!(run.err.contains("couponctl.yaml: man pages cannot be written there"), "{}", run.err);
}
