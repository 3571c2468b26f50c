//! Texts by their form: formats from a fixed list, and what paths and addresses have in common, component by component.
//!
//! The patterns are written into the learned document, so that the module tests with the very text that was learned with.

use std::sync::LazyLock;

use regex::Regex;

macro_rules! letters {
    () => {
        r"[0-9A-Za-z\x{C0}-\x{24F}\x{370}-\x{52F}\x{3041}-\x{30FF}\x{4E00}-\x{9FFF}\x{AC00}-\x{D7A3}_@+=,()-]"
    };
}

/// A component of a path. It begins and ends with neither a dot nor a space, but may have one dot in front: there is no
/// `..`, no encoding and nothing that a shell or server expands. The engine bounds the size of a compiled pattern, hence
/// the ranges of letters.
macro_rules! component {
    () => {
        concat!("[.]?", letters!(), "+([. ]+", letters!(), "+)*")
    };
}

/// The formats, the narrowest first. In an address, a slash ends the host, so that `https://evil.net?.example.com` is
/// none.
pub(crate) const FORMATS: [(&str, &str); 11] = [
    ("uuid", "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"),
    ("date", "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"),
    (
        "date_time",
        "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})$",
    ),
    ("time", "^[0-9]{2}:[0-9]{2}(:[0-9]{2})?$"),
    ("digits", "^[0-9]+$"),
    ("hex", "^[0-9a-fA-F]{8}[0-9a-fA-F]*$"),
    ("email", "^[A-Za-z0-9_+-]+([.][A-Za-z0-9_+-]+)*@[A-Za-z0-9-]+([.][A-Za-z0-9-]+)+$"),
    ("identifier", "^[A-Za-z_][A-Za-z0-9_-]*$"),
    ("file", concat!("^", component!(), "$")),
    ("path", concat!("^/?(", component!(), "/)*(", component!(), ")?$")),
    (
        "url",
        r"^[a-z][a-z0-9+-]*://([a-z0-9][a-z0-9-]*([.][a-z0-9-]+)*(:[0-9]+)?)?((/[.]?[A-Za-z0-9_@+=,():~-]+([.]+[A-Za-z0-9_@+=,():~-]+)*)+/?([?#][A-Za-z0-9_.~&=+,/?:@#-]*)?|/([?#][A-Za-z0-9_.~&=+,/?:@#-]*)?)?$",
    ),
];

static COMPILED: LazyLock<Vec<(&'static str, Regex)>> = LazyLock::new(|| {
    let compiled =
        |(name, pattern): &(&'static str, &str)| Some((*name, Regex::new(pattern).ok()?));
    FORMATS.iter().filter_map(compiled).collect()
});

/// What all texts seen so far have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    /// Formats that fit each of them, by their place in [`FORMATS`].
    formats: Vec<bool>,
    /// The components with which each of them begins.
    prefix: Vec<String>,
    /// The scheme of each of them, with its colon, and the labels with which the name of each host ends, the last first.
    host: Option<(String, Vec<String>)>,
}

/// Components in front, and the format of the whole: `path` or `url`.
pub(crate) struct Prefix<'f> {
    pub(crate) format: &'static str,
    pub(crate) components: &'f [String],
}

/// Addresses of one scheme below one domain.
pub(crate) struct HostSuffix<'f> {
    /// With its colon.
    pub(crate) scheme: &'f str,
    /// Labels of the name, the last one last.
    pub(crate) labels: Vec<&'f str>,
}

impl Form {
    pub(crate) fn of(text: &str) -> Self {
        let formats: Vec<bool> = COMPILED.iter().map(|(_, regex)| regex.is_match(text)).collect();
        let mut form = Self { formats, prefix: Vec::new(), host: None };
        if form.is("path") || form.is("url") {
            // What is asked of a server is no place on it, and the component before it is not whole.
            let place = text.split(['?', '#']).next().unwrap_or_default();
            form.prefix = place.split('/').map(str::to_owned).collect();
            if place.len() < text.len() {
                form.prefix.pop();
            }
        }
        if form.is("url") {
            form.host = host(text);
        }
        form
    }

    /// What this and another text have in common.
    pub(crate) fn join(&mut self, other: &Self) {
        for (fits, other) in self.formats.iter_mut().zip(&other.formats) {
            *fits &= other;
        }
        shorten(&mut self.prefix, &other.prefix);
        self.host = match (self.host.take(), &other.host) {
            (Some((scheme, mut labels)), Some((other, theirs))) if scheme == *other => {
                shorten(&mut labels, theirs);
                Some((scheme, labels))
            }
            _ => None,
        };
    }

    fn is(&self, format: &str) -> bool {
        COMPILED.iter().zip(&self.formats).any(|((name, _), fits)| *fits && *name == format)
    }

    /// The narrowest format that fits.
    pub(crate) fn format(&self) -> Option<&'static str> {
        COMPILED.iter().zip(&self.formats).find(|(_, fits)| **fits).map(|((name, _), _)| *name)
    }

    /// The folder or the address below which all of them are.
    pub(crate) fn prefix(&self) -> Option<Prefix<'_>> {
        let components = self.prefix.as_slice();
        // Scheme and slashes of an address, or the root, are no place.
        let (format, none) = if self.is("url") { ("url", 2) } else { ("path", 0) };
        let named = components.iter().skip(none).any(|component| !component.is_empty());
        (named && self.is(format)).then_some(Prefix { format, components })
    }

    /// The domain below which all hosts are. One label, or two where the registry may begin with the third (`co.uk`), are
    /// none, and numbers have none.
    pub(crate) fn host_suffix(&self) -> Option<HostSuffix<'_>> {
        let (scheme, labels) = self.host.as_ref()?;
        match labels.as_slice() {
            [] | [_] => return None,
            [top, second] if top.len() == 2 && second.len() <= 3 => return None,
            [top, ..] if !top.starts_with(|c: char| c.is_ascii_alphabetic()) => return None,
            _ => {}
        }
        Some(HostSuffix { scheme, labels: labels.iter().rev().map(String::as_str).collect() })
    }
}

/// Scheme and labels of the host, the last first.
fn host(url: &str) -> Option<(String, Vec<String>)> {
    let mut parts = url.split('/');
    let (scheme, _, authority) = (parts.next()?, parts.next()?, parts.next()?);
    if authority.is_empty() {
        return None;
    }
    Some((scheme.to_owned(), authority.split('.').rev().map(str::to_owned).collect()))
}

/// Cuts `ours` where `theirs` goes another way.
fn shorten(ours: &mut Vec<String>, theirs: &[String]) {
    let common = ours.iter().zip(theirs).take_while(|(a, b)| a == b).count();
    ours.truncate(common);
}

#[cfg(test)]
mod tests;
