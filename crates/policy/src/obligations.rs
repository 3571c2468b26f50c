//! From the values of `obligations` to what the gateway carries out. Whatever it does not know, lacks or cannot carry
//! out at the stage is an error, hence a denial: an obligation is never dropped.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "every kind of value but the expected ones is the wrong shape"
)]

use std::time::Duration;

use domain::{Obligation, RateKey, RateLimit, Span, Stage};
use regorus::Value;
use regorus::value::Object;

use crate::verdict::kind;

/// Most obligations of one decision.
const MAX_OBLIGATIONS: usize = 32;
/// Longest text of a parameter, in bytes.
const MAX_TEXT: usize = 1024;
/// Longest window of a rate limit: what is counted is kept for so long.
const MAX_WINDOW: Duration = Duration::from_secs(31 * 24 * 3600);
/// What is put where a value was, when the policy does not say.
const REDACTED: &str = "***";
/// JSON-RPC keeps these codes for itself.
const RESERVED_CODES: std::ops::RangeInclusive<i64> = -32768..=-32000;
const LEVELS: [&str; 4] = ["debug", "info", "warn", "error"];
/// Headers that frame a message, or that the gateway answers for.
const OWN_HEADERS: [&str; 13] = [
    "accept",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "last-event-id",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Adds the obligations in `value`: the members of a set or array, or the keys of an object (`obligations[o] if …`).
///
/// # Errors
///
/// Text for the operator, when one of them cannot be carried out at `stage`.
pub(crate) fn decode(
    stage: Stage,
    value: &Value,
    into: &mut Vec<Obligation>,
) -> Result<(), String> {
    let mut add = |member: &Value| {
        let obligation = one(stage, member)?;
        if !into.contains(&obligation) {
            into.push(obligation);
        }
        match into.len() > MAX_OBLIGATIONS {
            true => Err(format!("a decision has more than {MAX_OBLIGATIONS} obligations")),
            false => Ok(()),
        }
    };
    match value {
        Value::Null => Ok(()),
        Value::Array(members) => members.iter().try_for_each(add),
        Value::Set(members) => members.iter_sorted().try_for_each(add),
        Value::Object(members) => members.keys_sorted().try_for_each(&mut add),
        other => Err(format!("`obligations` is {}, not a set or an array", kind(other))),
    }
}

fn one(stage: Stage, value: &Value) -> Result<Obligation, String> {
    let Value::Object(members) = value else {
        return Err(format!("an obligation is {}, not an object with `action`", kind(value)));
    };
    let action = match members.get(&Value::from("action")) {
        Some(Value::String(action)) => action.to_string(),
        Some(other) => return Err(format!("`action` of an obligation is {}", kind(other))),
        None => return Err("an obligation has no member `action`".to_owned()),
    };
    let params = Params::new(members);
    let obligation = params.and_then(|params| params.obligation(&action));
    let wrong = |why: String| format!("obligation `{}`: {why}", short(&action));
    let obligation = obligation.map_err(wrong)?;
    match suits(&obligation, stage) {
        true => Ok(obligation),
        false => Err(wrong(format!("it cannot be carried out at stage `{}`", stage.as_str()))),
    }
}

/// Whether an obligation can be carried out at a stage.
const fn suits(obligation: &Obligation, stage: Stage) -> bool {
    match obligation {
        Obligation::Redact { .. } | Obligation::Strip { .. } => {
            matches!(stage, Stage::Request | Stage::Response)
        }
        Obligation::RequireApproval { .. }
        | Obligation::RateLimit(_)
        | Obligation::SetHeader { .. } => matches!(stage, Stage::Request),
        Obligation::Alert { .. } | Obligation::Log { .. } | Obligation::Taint { .. } => {
            matches!(stage, Stage::Request | Stage::Response | Stage::ServerRequest | Stage::List)
        }
        Obligation::DenyAs { .. } => true,
    }
}

/// The parameters of one obligation: beside `action`, or in its member `params`.
struct Params<'v> {
    members: &'v Object,
}

impl<'v> Params<'v> {
    fn new(members: &'v Object) -> Result<Self, String> {
        match members.get(&Value::from("params")) {
            None => Ok(Self { members }),
            Some(_) if members.len() > 2 => {
                Err("it has parameters both in `params` and beside it".to_owned())
            }
            Some(Value::Object(members)) => Ok(Self { members }),
            Some(other) => Err(format!("`params` is {}, not an object", kind(other))),
        }
    }

    fn obligation(&self, action: &str) -> Result<Obligation, String> {
        match action {
            "redact" if self.get("kind").is_some() => Err(DETECTORS.to_owned()),
            "tokenize" => Err(DETECTORS.to_owned()),
            "redact" => {
                self.only(&["path", "with"])?;
                let with = self.optional("with")?.unwrap_or(REDACTED).into();
                Ok(Obligation::Redact { path: self.pointer()?, with })
            }
            "strip" => {
                self.only(&["path"])?;
                Ok(Obligation::Strip { path: self.pointer()? })
            }
            "require_approval" => {
                self.only(&["message"])?;
                Ok(Obligation::RequireApproval {
                    message: self.optional("message")?.map(Box::from),
                })
            }
            "alert" => {
                self.only(&["channel", "severity"])?;
                let channel = match self.get("channel") {
                    Some(_) => self.one_of("channel", &["log"])?,
                    None => "log".into(),
                };
                Ok(Obligation::Alert { channel, severity: self.text("severity")?.into() })
            }
            "log" => {
                self.only(&["level"])?;
                Ok(Obligation::Log { level: self.one_of("level", &LEVELS)? })
            }
            "rate_limit" => self.rate_limit().map(Obligation::RateLimit),
            "taint" => {
                self.only(&["label"])?;
                Ok(Obligation::Taint { label: self.text("label")?.into() })
            }
            "set_header" => self.header(),
            "deny_as" => self.deny_as(),
            _ => Err("this version knows no such action".to_owned()),
        }
    }

    fn rate_limit(&self) -> Result<RateLimit, String> {
        self.only(&["key", "per", "limit"])?;
        let known = |value: &Value| {
            let Value::String(name) = value else {
                return Err(format!("a `key` is {}, not a string", kind(value)));
            };
            let names = || RateKey::ALL.map(RateKey::as_str).join("`, `");
            let found = RateKey::ALL.into_iter().find(|key| key.as_str() == &**name);
            found.ok_or_else(|| format!("`key` names none of `{}`", names()))
        };
        let mut key = match self.needed("key")? {
            Value::Array(keys) if !keys.is_empty() => {
                keys.iter().map(known).collect::<Result<Vec<_>, _>>()?
            }
            Value::Set(keys) if !keys.is_empty() => {
                keys.iter_sorted().map(known).collect::<Result<Vec<_>, _>>()?
            }
            one => vec![known(one)?],
        };
        key.sort_by_key(|key| key.as_str());
        key.dedup();
        let per = match self.needed("per")? {
            Value::String(text) => {
                text.parse::<Span>().map_err(|error| error.to_string())?.duration()
            }
            value => Duration::from_secs(whole("per", value)?),
        };
        if per.is_zero() || per > MAX_WINDOW {
            return Err("`per` is not between 1 ns and 31 days".to_owned());
        }
        Ok(RateLimit { key, per, limit: whole("limit", self.needed("limit")?)? })
    }

    fn header(&self) -> Result<Obligation, String> {
        self.only(&["name", "value"])?;
        let name = self.text("name")?.to_ascii_lowercase();
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.!#$%&'*+^`|~".contains(&byte);
        if !name.bytes().all(token) {
            return Err("`name` is no name of an HTTP header".to_owned());
        }
        if OWN_HEADERS.contains(&name.as_str())
            || name.starts_with("mcp-")
            || name.starts_with("proxy-")
        {
            return Err(format!("the header `{name}` is the gateway's own"));
        }
        let value = self.text("value")?;
        if !value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) || value.trim() != value {
            return Err("`value` is no value of an HTTP header: printable ASCII".to_owned());
        }
        Ok(Obligation::SetHeader { name: name.into(), value: value.into() })
    }

    fn deny_as(&self) -> Result<Obligation, String> {
        self.only(&["code", "message"])?;
        let code = match self.needed("code")? {
            Value::Number(number) => number.as_i64(),
            _ => None,
        };
        let code = code.filter(|code| !RESERVED_CODES.contains(code));
        let code = code.and_then(|code| i32::try_from(code).ok()).ok_or_else(|| {
            "`code` is not a whole number of 32 bits outside of -32768 to -32000".to_owned()
        })?;
        Ok(Obligation::DenyAs { code, message: self.text("message")?.into() })
    }

    /// The parameter `path`: a JSON pointer to a member of the arguments or the result, never to all of it.
    fn pointer(&self) -> Result<Box<str>, String> {
        let path = self.text("path")?;
        let escaped = path.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
        match path.starts_with('/') && escaped {
            true => Ok(path.into()),
            false => Err("`path` is no JSON pointer such as `/customer/*/email`".to_owned()),
        }
    }

    fn get(&self, name: &str) -> Option<&'v Value> {
        self.members.get(&Value::from(name))
    }

    fn needed(&self, name: &str) -> Result<&'v Value, String> {
        self.get(name).ok_or_else(|| format!("parameter `{name}` is missing"))
    }

    fn text(&self, name: &str) -> Result<&'v str, String> {
        match self.needed(name)? {
            Value::String(text) if text.is_empty() => Err(format!("`{name}` is empty")),
            Value::String(text) if text.len() > MAX_TEXT => {
                Err(format!("`{name}` is longer than {MAX_TEXT} bytes"))
            }
            Value::String(text) => Ok(text),
            other => Err(format!("`{name}` is {}, not a string", kind(other))),
        }
    }

    fn optional(&self, name: &str) -> Result<Option<&'v str>, String> {
        self.get(name).map(|_| self.text(name)).transpose()
    }

    fn one_of(&self, name: &str, known: &[&str]) -> Result<Box<str>, String> {
        let text = self.text(name)?;
        match known.contains(&text) {
            true => Ok(text.into()),
            false => Err(format!("`{name}` is none of `{}`", known.join("`, `"))),
        }
    }

    /// Refuses parameters that the action does not have: a mistyped one would be silently without effect.
    fn only(&self, known: &[&str]) -> Result<(), String> {
        let stranger = self.members.keys_sorted().find(|name| match name {
            Value::String(name) => &**name != "action" && !known.contains(&&**name),
            _ => true,
        });
        stranger.map_or(Ok(()), |name| {
            Err(format!("it has no parameter `{}`", short(&name.to_string())))
        })
    }
}

const DETECTORS: &str = "it needs detectors, which this version does not have";

fn whole(name: &str, value: &Value) -> Result<u64, String> {
    let number = if let Value::Number(number) = value { number.as_u64() } else { None };
    number.ok_or_else(|| format!("`{name}` is not a whole number"))
}

/// The beginning of a text that a client may have chosen.
fn short(text: &str) -> &str {
    text.get(..text.floor_char_boundary(64)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
