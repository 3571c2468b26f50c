//! JSON in its canonical form (RFC 8785), to take a digest of.
//!
//! Members are in the order of their keys' UTF-16 units, strings have the shortest escapes, and numbers are written as
//! ECMAScript does. One thing differs from the letter: integers that fit 64 bits keep every digit, where RFC 8785 would
//! first round those beyond 2^53 to a double. Larger ones, and fractions, have one form where they are one double.

/// The canonical form of `raw`, which is strict JSON. A server chooses how deep and how long that is: it is read once.
pub(crate) fn form(raw: &str) -> String {
    Reader { rest: raw }.value().unwrap_or_else(|| raw.to_owned())
}

/// What is still to be read.
struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    /// The next value; `None` at what is no JSON.
    fn value(&mut self) -> Option<String> {
        match self.next()? {
            '{' => {
                let mut members = Vec::new();
                self.list('}', |reader| {
                    let key = text(reader.string()?);
                    reader.next().filter(|colon| *colon == ':')?;
                    reader.take(1)?;
                    members.push((key, reader.value()?));
                    Some(())
                })?;
                members.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
                let members = members.iter().map(|(key, value)| format!("{}:{value}", quoted(key)));
                Some(format!("{{{}}}", members.collect::<Vec<_>>().join(",")))
            }
            '[' => {
                let mut elements = Vec::new();
                self.list(']', |reader| {
                    elements.push(reader.value()?);
                    Some(())
                })?;
                Some(format!("[{}]", elements.join(",")))
            }
            '"' => {
                let raw = self.string()?;
                // A text that no Unicode string can hold stays as it is.
                let text = serde_json::from_str::<String>(raw);
                Some(text.map_or_else(|_| raw.to_owned(), |text| quoted(&text)))
            }
            _ => {
                let ends = |c: char| matches!(c, ',' | ']' | '}') || c.is_ascii_whitespace();
                let raw = self.take(self.rest.find(ends).unwrap_or(self.rest.len()))?;
                let double = raw.parse().ok().filter(|double: &f64| double.is_finite());
                Some(double.map_or_else(|| raw.to_owned(), |double| number(raw, double)))
            }
        }
    }

    /// What stands up to `end` in an object or array, one by one.
    fn list(&mut self, end: char, mut item: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.take(1)?;
        loop {
            match self.next()? {
                ',' => drop(self.take(1)?),
                c if c == end => return self.take(1).map(drop),
                _ => item(self)?,
            }
        }
    }

    /// The next string with its quotes.
    fn string(&mut self) -> Option<&'a str> {
        self.next().filter(|quote| *quote == '"')?;
        let mut escaped = false;
        let end = self.rest.bytes().skip(1).position(|byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        })?;
        self.take(end + 2)
    }

    /// The next character that is no white space.
    fn next(&mut self) -> Option<char> {
        self.rest = self.rest.trim_ascii_start();
        self.rest.chars().next()
    }

    fn take(&mut self, bytes: usize) -> Option<&'a str> {
        let (taken, rest) = self.rest.split_at_checked(bytes)?;
        self.rest = rest;
        Some(taken)
    }
}

fn text(raw: &str) -> String {
    serde_json::from_str(raw).unwrap_or_else(|_| raw.to_owned())
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A number as ECMAScript writes it (ECMA-262, section 6.1.6.1.20).
fn number(raw: &str, double: f64) -> String {
    if let Ok(integer) = raw.parse::<i64>() {
        return integer.to_string();
    }
    if let Ok(integer) = raw.parse::<u64>() {
        return integer.to_string();
    }
    if double == 0.0 {
        return "0".to_owned();
    }
    // Rust, too, gives the fewest digits that read back as the same double.
    let scientific = format!("{:e}", double.abs());
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let digits = mantissa.replace('.', "");
    let point = exponent.parse::<i32>().unwrap_or_default() + 1;
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or_default());
    let text = if (count..=21).contains(&point) {
        format!("{digits}{}", zeros(point - count))
    } else if (1..=21).contains(&point) {
        let (whole, rest) = digits.split_at(usize::try_from(point).unwrap_or_default());
        format!("{whole}.{rest}")
    } else if (-5..=0).contains(&point) {
        format!("0.{}{digits}", zeros(-point))
    } else {
        let sign = if point > 0 { "+" } else { "-" };
        let (first, rest) = digits.split_at(1);
        let dot = if rest.is_empty() { "" } else { "." };
        format!("{first}{dot}{rest}e{sign}{}", (point - 1).abs())
    };
    if double < 0.0 { format!("-{text}") } else { text }
}

#[cfg(test)]
mod tests;
