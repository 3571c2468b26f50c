use super::*;

#[test]
fn every_name_finds_its_method() {
    for method in Method::ALL {
        assert_eq!(Method::from_name(method.as_str()), *method);
    }
    let mut names: Vec<_> = Method::ALL.iter().map(|method| method.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Method::ALL.len());
}

#[test]
fn names_are_not_normalised() {
    for name in ["", "other", "Tools/call", "tools/call ", "tools/Call", "tools//call", "tool/call"]
    {
        assert_eq!(Method::from_name(name), Method::Other, "{name}");
    }
}

#[test]
fn lists_lead_to_the_method_that_uses_an_entry() {
    #[track_caller]
    fn check(list: Method, member: &str, key: &str, uses: Method) {
        let kind = list.list().unwrap();
        assert_eq!((kind.method(), kind.uses()), (list, uses));
        assert_eq!((kind.member(), kind.entry_key()), (member, key));
    }
    check(Method::ToolsList, "tools", "name", Method::ToolsCall);
    check(Method::ResourcesList, "resources", "uri", Method::ResourcesRead);
    check(
        Method::ResourcesTemplatesList,
        "resourceTemplates",
        "uriTemplate",
        Method::ResourcesRead,
    );
    check(Method::PromptsList, "prompts", "name", Method::PromptsGet);
    let lists = Method::ALL.iter().filter(|method| method.list().is_some()).count();
    assert_eq!(lists, ListKind::ALL.len());
}
