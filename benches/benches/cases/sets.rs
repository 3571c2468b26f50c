//! The sets of policies that are both decided with alone and routed under.

use std::path::PathBuf;

use policy::Sources;

/// One rule about the name of the tool.
pub(crate) fn one_condition() -> Sources {
    Sources::from_texts(&[(
        "one.rego",
        "package mcp.policy\ndeny contains \"no\" if input.tool == \"rm\"\n",
    )])
    .expect("the policies load")
}

/// What the gateway ships with, with room for any number of requests.
pub(crate) fn shipped() -> Sources {
    let data = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/data/bench_limit.yaml"));
    let sources = Sources::embedded().expect("the policies load");
    sources.with_data_file(&data).expect("the data loads")
}
