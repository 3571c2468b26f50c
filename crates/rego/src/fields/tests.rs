use super::*;

#[track_caller]
fn check(path: &str, expected: &[Field]) {
    let path: Vec<&str> = path.split('.').filter(|part| !part.is_empty()).collect();
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
    check("agent.capabilities", &[Field::AgentCapabilities]);
    check("session.request_count", &[Field::SessionCount]);
    check("session.client", &[Field::ClientName, Field::ClientVersion]);
    check("identity", &[Field::IdentityVerified, Field::IdentityMethod, Field::IdentityDid]);
    check("usrname", &[]);
    check("request.nothing", &[]);
    let everything: Vec<Field> = Field::ALL.iter().map(|(field, _)| *field).collect();
    check("", &everything);
}

#[test]
fn every_field_has_a_bit_and_no_field_lies_in_another() {
    assert!(Field::ALL.len() <= 64);
    for (field, path) in Field::ALL {
        assert!(Fields::at(path) == Fields::of(*field), "{path:?}");
    }
}

/// The paths of the schema that are no objects of ours.
fn leaves(schema: &serde_json::Value, path: &mut Vec<String>, found: &mut Vec<String>) {
    let closed = schema["additionalProperties"] == false;
    match schema["properties"].as_object().filter(|_| closed) {
        Some(properties) => {
            for (name, below) in properties {
                path.push(name.clone());
                leaves(below, path, found);
                path.pop();
            }
        }
        None => found.push(path.join(".")),
    }
}

#[test]
fn the_schema_and_the_table_name_the_same_paths() {
    let mut in_schema = Vec::new();
    leaves(crate::schema::input(), &mut Vec::new(), &mut in_schema);
    in_schema.sort();
    let mut in_table: Vec<String> = Field::ALL.iter().map(|(_, path)| path.join(".")).collect();
    in_table.sort();
    assert_eq!(in_table, in_schema);
}
