use super::*;

#[test]
fn a_file_is_written_once_and_can_be_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("new/proxy.yaml");
    init(&file).unwrap();
    Settings::load(Some(&file), std::iter::empty()).unwrap();
    std::fs::write(&file, "mine").unwrap();
    let error = init(&file).unwrap_err().to_string();
    assert_eq!(
        error,
        format!("`{}` exists and is left as it is; name another file", file.display())
    );
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
}

#[test]
fn a_place_where_nothing_can_be_written_is_named() {
    let error = format!("{:#}", init(Path::new("/dev/null/proxy.yaml")).unwrap_err());
    assert!(error.starts_with("cannot create the folder `/dev/null`: "), "{error}");
}

#[test]
fn the_schema_is_one_of_json() {
    let schema = Settings::schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(execute(ConfigCommand::Schema).unwrap(), Exit::Done);
}

#[test]
fn what_is_wrong_is_told_with_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yaml");
    std::fs::write(&file, "server:\n  listen:\n    prot: 3000\npolicy:\n  mode: strict\n").unwrap();
    for format in [Format::Pretty, Format::Json] {
        let args = ShowArgs { config: Some(file.clone()), format };
        let error = execute(ConfigCommand::Show(args)).unwrap_err().to_string();
        let place = |line| format!("{}:{line}:", file.display());
        assert!(error.contains(&place(3)) && error.contains("`server.listen.prot`"), "{error}");
        assert!(error.contains(&place(5)) && error.contains("`policy.mode`"), "{error}");
    }
}
