use super::*;

fn findings() -> Vec<Finding> {
    let blank = Finding {
        level: Level::Error,
        code: "unknown-field".to_owned(),
        subject: String::new(),
        file: "po licies/a.rego".to_owned(),
        line: 3,
        column: 7,
        message: "50 % <of> \"it\"\n& more".to_owned(),
        seconds: None,
    };
    vec![
        blank.clone(),
        Finding {
            level: Level::Warning,
            line: 0,
            column: 0,
            code: "x,y:z".to_owned(),
            ..blank.clone()
        },
        Finding {
            level: Level::Passed,
            subject: "data.a.test_b".to_owned(),
            seconds: Some(0.25),
            ..blank.clone()
        },
        Finding { level: Level::Skipped, subject: "data.a.todo_test_c".to_owned(), ..blank },
    ]
}

#[test]
fn people_read_place_level_and_text() {
    insta::assert_snapshot!(pretty(&findings()));
}

#[test]
fn junit_counts_and_escapes() {
    insta::assert_snapshot!(junit("policy check", &findings()));
    assert_eq!(xml("\u{0}\u{1b}\u{ffff}"), "\u{fffd}\u{fffd}\u{fffd}");
}

#[test]
fn github_reads_commands_of_one_line() {
    insta::assert_snapshot!(github(&findings()));
}

#[test]
fn sarif_names_rule_place_and_level() {
    insta::assert_snapshot!(output::json(&sarif::log(&findings())).unwrap());
}
