use clap::CommandFactory as _;

use super::Args;

#[test]
fn the_command_line_is_sound() {
    Args::command().debug_assert();
}

#[test]
fn the_makefile_calls_tasks_that_exist() {
    let makefile = std::fs::read_to_string(crate::tree::at("Makefile")).unwrap();
    let command = Args::command();
    let mut called = 0;
    for line in makefile.lines() {
        let Some((_, task)) = line.split_once("$(XTASK) ") else { continue };
        assert!(command.find_subcommand(task).is_some(), "no task `{task}`");
        called += 1;
    }
    assert!(called > 0);
}
