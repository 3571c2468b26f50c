//! The builtins of regorus and how many arguments they take. Its table is private; it is asked name by name.

use regorus::Engine;

/// Builtins whose work does not grow with the size of an argument but with its value, or with what can be made of it,
/// inside one call that no time limit interrupts: `numbers.range(1, 1e15)` ends the process. Their arguments must be written down.
pub(crate) const UNBOUNDED: [&str; 6] = [
    "graph.reachable_paths",
    "net.cidr_expand",
    "numbers.range",
    "numbers.range_step",
    "units.parse",
    "units.parse_bytes",
];

/// What regorus says of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Builtin {
    /// It is no builtin of this version.
    Unknown,
    /// It takes this many arguments.
    Takes(usize),
    /// It takes any number.
    Variadic,
}

impl Builtin {
    /// Calls `name` without arguments, which fails otherwise than the call of an unknown name and tells how many are
    /// expected.
    pub(crate) fn named(name: &str) -> Self {
        let Err(error) = Engine::new().eval_query(format!("x := {name}()"), false) else {
            return if name == "print" { Self::Variadic } else { Self::Takes(0) };
        };
        let error = error.to_string();
        if error.contains("could not find function") {
            return Self::Unknown;
        }
        let expected = error.rsplit_once("` expects ").map(|(_, rest)| rest);
        let number = expected.and_then(|rest| rest.split(' ').next());
        number.and_then(|number| number.parse().ok()).map_or(Self::Variadic, Self::Takes)
    }
}

/// Builtins of OPA before 1.0, and what is written instead.
const REMOVED: [(&str, &str); 11] = [
    ("all", "`every x in xs { x }`"),
    ("any", "`true in xs`"),
    ("cast_array", "a comprehension `[x | some x in xs]`"),
    ("cast_boolean", "`is_boolean`"),
    ("cast_null", "`is_null`"),
    ("cast_object", "`is_object`"),
    ("cast_set", "a comprehension `{x | some x in xs}`"),
    ("cast_string", "`is_string`"),
    ("net.cidr_overlap", "`net.cidr_contains`"),
    ("re_match", "`regex.match`"),
    ("set_diff", "`a - b`"),
];

/// What to do about a call of a builtin that is not there.
pub(crate) fn hint_for(name: &str) -> String {
    if let Some((_, instead)) = REMOVED.iter().find(|(removed, _)| *removed == name) {
        return format!("it was removed in OPA 1.0; write {instead}");
    }
    let hint = match name.split('.').next() {
        Some("http") => "policies cannot reach the network; put what they need into a data file",
        Some("io" | "crypto") => {
            "tokens are verified by the gateway; read `input.identity` instead"
        }
        Some("opa") => {
            "policies do not see the environment of the gateway; put what they need into a data file"
        }
        Some("rego") => "the gateway names file and line of a rule itself",
        Some("providers" | "graphql") => {
            "this version does not have it; put what it would yield into a data file"
        }
        _ => "no policy file defines it and it is no builtin of this version",
    };
    hint.to_owned()
}

#[cfg(test)]
mod tests;
