//! Annotations of a tool: which arguments its caller repeats in headers (`x-mcp-header`).

use std::borrow::Cow;

use super::{ParamHeader, decode, encode};
use crate::{
    ParseError, object,
    scan::{MAX_DEPTH, Scanner, Span, Stop},
    text::{self, clip},
};

const ANNOTATION: &str = "x-mcp-header";
const PREFIX: &str = "Mcp-Param-";

/// The arguments of one tool that travel in headers too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Annotations(Vec<Annotation>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Annotation {
    /// The whole name of the header.
    header: Box<str>,
    /// Keys that lead to the argument, outermost first.
    path: Box<[Box<str>]>,
}

impl Annotations {
    /// Reads the annotations of a tool's `inputSchema` (raw JSON): every one must name a header that
    /// no other one names, on a parameter of type string, integer or boolean that `properties` alone
    /// lead to.
    ///
    /// # Errors
    ///
    /// The first annotation that does not, and why: the tool is then not to be offered to clients
    /// of the modern era. Or what keeps the schema from being read.
    pub fn read(input_schema: &str) -> Result<Self, String> {
        let mut scan = Scanner::new(input_schema, MAX_DEPTH);
        let mut reader = Reader::default();
        scan.white();
        let read = reader.schema(&mut scan, true).and_then(|()| scan.end());
        scan.finish(read).map_err(|fault| ParseError::from(fault).to_string())?;
        reader.wrong.map_or(Ok(Self(reader.found)), Err)
    }

    /// True when the tool has no annotation.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The headers of a call with these `arguments` (raw JSON). Arguments that are absent or null
    /// have none.
    #[must_use]
    pub fn headers(&self, arguments: Option<&str>) -> Vec<ParamHeader> {
        let header = |annotation: &Annotation| {
            let value = written(annotation.value(arguments)?)?;
            let (name, value) = (annotation.header.clone(), encode(&value).into());
            Some(ParamHeader { name, value })
        };
        self.0.iter().filter_map(header).collect()
    }

    /// Checks that `headers` repeat `arguments` (raw JSON); headers that no annotation names are no
    /// concern of it. Integers are compared as numbers, so that `42.0` is `42`; other spellings
    /// (`042`, `4.2e1`) are not taken for one.
    ///
    /// # Errors
    ///
    /// Which header is missing, unreadable, there twice, there without its argument, or says
    /// something else.
    pub fn check(&self, arguments: Option<&str>, headers: &[ParamHeader]) -> Result<(), String> {
        self.0.iter().try_for_each(|annotation| annotation.check(arguments, headers))
    }
}

impl Annotation {
    /// The argument as raw JSON; `None` when it is absent or null.
    fn value<'a>(&self, arguments: Option<&'a str>) -> Option<&'a str> {
        let value = self.path.iter().try_fold(arguments?, |value, key| object::get(value, key))?;
        (value != "null").then_some(value)
    }

    fn check(&self, arguments: Option<&str>, headers: &[ParamHeader]) -> Result<(), String> {
        let header = &self.header;
        let mut sent = headers.iter().filter(|sent| sent.name.eq_ignore_ascii_case(header));
        let said = sent.next().map(|sent| decode(&sent.value));
        let said = said.transpose().map_err(|error| format!("header `{header}` {error}"))?;
        if sent.next().is_some() {
            return Err(format!("header `{header}` is there twice"));
        }
        let token = self.value(arguments);
        match (said, token.and_then(written)) {
            (None, None) => Ok(()),
            (Some(said), Some(body)) if said == body => Ok(()),
            (Some(said), Some(_)) if same_integer(&said, token.unwrap_or_default()) => Ok(()),
            (Some(said), Some(body)) => {
                Err(format!("header `{header}` says `{}`, the body `{}`", clip(&said), clip(&body)))
            }
            (None, Some(_)) => Err(format!("header `{header}` is missing")),
            (Some(_), None) => Err(format!("header `{header}` is there, its argument is not")),
        }
    }
}

/// A scalar as a header says it, before encoding; `None` for objects and arrays, which no header
/// can repeat.
fn written(token: &str) -> Option<Cow<'_, str>> {
    match token.as_bytes().first()? {
        b'{' | b'[' => None,
        b'"' => Some(text::decode(token)),
        _ => Some(Cow::Borrowed(integer(token).unwrap_or(token))),
    }
}

fn same_integer(said: &str, token: &str) -> bool {
    !token.starts_with('"') && integer(said).is_some_and(|said| integer(token) == Some(said))
}

/// The digits of an integer that is spelled plainly or with a fraction of zeros, with its sign.
fn integer(number: &str) -> Option<&str> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = whole.strip_prefix('-').unwrap_or(whole);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = digits == "0" || !digits.starts_with('0');
    let zeros = !fraction.is_empty() && fraction.bytes().all(|byte| byte == b'0');
    (plain && canonical && zeros).then_some(if digits == "0" { digits } else { whole })
}

/// A walk through a schema. It goes as deep as the scanner lets it, which is bounded.
#[derive(Default)]
struct Reader {
    found: Vec<Annotation>,
    path: Vec<Box<str>>,
    /// The first thing that is wrong.
    wrong: Option<String>,
}

impl Reader {
    /// A schema; `reachable` when only `properties` led here.
    fn schema(&mut self, scan: &mut Scanner<'_>, reachable: bool) -> Result<(), Stop> {
        match scan.peek() {
            b'{' => {}
            b'[' => return scan.elements(|scan| self.schema(scan, false)).map(|_| ()),
            _ => return scan.value().map(|_| ()),
        }
        let (mut header, mut kind) = (Span::default(), Span::default());
        scan.members(|scan, key| {
            match key {
                ANNOTATION => header = scan.value()?,
                "type" => kind = scan.value()?,
                "properties" => self.named(scan, reachable)?,
                "$defs" | "definitions" | "dependentSchemas" | "patternProperties" => {
                    self.named(scan, false)?;
                }
                // Values of the instance, in which the annotation is a word like any other.
                "const" | "default" | "enum" | "examples" => {
                    scan.value()?;
                }
                _ => self.schema(scan, false)?,
            }
            Ok(())
        })?;
        if !header.is_absent() {
            let found = self.annotate(scan.slice(header), scan.slice(kind), reachable);
            if let Err(what) = found {
                let path: String = self.path.iter().flat_map(|key| [".", key]).collect();
                let what = format!("`{ANNOTATION}` at `inputSchema{}` {what}", clip(&path));
                self.wrong.get_or_insert(what);
            }
        }
        Ok(())
    }

    /// Schemas under names that the author of the schema chose.
    fn named(&mut self, scan: &mut Scanner<'_>, reachable: bool) -> Result<(), Stop> {
        if scan.peek() != b'{' {
            return scan.value().map(|_| ());
        }
        let schemas = scan.members(|scan, name| {
            self.path.push(name.into());
            let read = self.schema(scan, reachable);
            self.path.pop();
            read
        });
        schemas.map(|_| ())
    }

    fn annotate(&mut self, header: &str, kind: &str, reachable: bool) -> Result<(), String> {
        if !reachable || self.path.is_empty() {
            return Err("is on no parameter that `properties` alone lead to".to_owned());
        }
        if !matches!(kind, r#""string""# | r#""integer""# | r#""boolean""#) {
            return Err("is on a parameter that is no string, integer or boolean".to_owned());
        }
        let name = text::decode(header);
        if !header.starts_with('"') || name.is_empty() || !name.bytes().all(is_token) {
            return Err("is not the name of a header".to_owned());
        }
        let header = [PREFIX, &name].concat();
        if self.found.iter().any(|other| other.header.eq_ignore_ascii_case(&header)) {
            return Err(format!("names `{}`, as another one does", clip(&name)));
        }
        let path = self.path.clone().into_boxed_slice();
        self.found.push(Annotation { header: header.into_boxed_str(), path });
        Ok(())
    }
}

/// A character of a field name (RFC 9110, section 5.6.2).
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

#[cfg(test)]
mod tests;
