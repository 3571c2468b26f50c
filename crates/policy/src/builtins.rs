//! The builtins of regorus and how many arguments they take. Its table is private; it is asked name by name.

use regorus::Engine;

/// Builtins whose work grows with the value of an argument and not with its size, inside one call that no time limit
/// interrupts: `numbers.range(1, 1e15)` ends the process. Their arguments must be written down.
pub(crate) const UNBOUNDED: [&str; 5] =
    ["numbers.range", "numbers.range_step", "net.cidr_expand", "units.parse", "units.parse_bytes"];

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

/// What to do about a call of a builtin that is not there.
pub(crate) fn hint_for(name: &str) -> &'static str {
    match name.split('.').next() {
        Some("http") => "policies cannot reach the network; put what they need into a data file",
        Some("io" | "crypto") => {
            "tokens are verified by the gateway; read `input.identity` instead"
        }
        _ => "no policy file defines it and it is no builtin of this version",
    }
}

#[cfg(test)]
mod tests;
