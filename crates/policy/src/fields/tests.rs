use super::*;

#[track_caller]
fn check(path: &str, expected: &[Field]) {
    let path: Vec<String> =
        path.split('.').filter(|part| !part.is_empty()).map(str::to_owned).collect();
    let fields = Fields::at(&path);
    let seen: Vec<Field> = Field::ALL
        .iter()
        .map(|(field, _)| *field)
        .filter(|field| fields.contains(*field))
        .collect();
    assert_eq!(seen, expected, "{path:?}");
}

#[test]
fn a_path_reads_what_is_above_at_and_below_it() {
    check("tool", &[Field::Tool]);
    check("arguments.path.deep", &[Field::Arguments]);
    check("agent.capabilities", &[Field::Agent]);
    check("session.request_count", &[Field::SessionCount]);
    check(
        "context",
        &[
            Field::ContextTimestamp,
            Field::ContextSourceIp,
            Field::ContextEnvironment,
            Field::ContextTransport,
        ],
    );
    check("usrname", &[]);
    check("request.nothing", &[]);
    let everything: Vec<Field> = Field::ALL.iter().map(|(field, _)| *field).collect();
    check("", &everything);
}

#[test]
fn members_of_one_object_follow_each_other() {
    let mut groups: Vec<&str> = Vec::new();
    for (_, path) in Field::ALL {
        if let [group, _] = path
            && groups.last() != Some(group)
        {
            assert!(!groups.contains(group), "{group} is split");
            groups.push(group);
        }
    }
    assert!(Field::ALL.len() <= 64);
}
