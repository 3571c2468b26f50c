//! The `limits` section of the configuration.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The counters behind the obligation `rate_limit`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Most sessions, agents, tools and the like whose rates are counted at the same time, each in up to 1 KiB. While
    /// there are more, the newcomers among them share counters, so that some are refused earlier than their limit says.
    #[schemars(range(min = 1))]
    pub max_keys: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { max_keys: 65_536 }
    }
}
