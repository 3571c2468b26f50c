//! Text that keeps to its line.

use std::fmt::{self, Write};

/// Writes `text` with everything that could begin a new line, move the cursor or turn the direction of reading as
/// `\uXXXX`, which also is what JSON strings use.
pub(crate) fn write_escaped(out: &mut impl Write, text: &str) -> fmt::Result {
    for part in text.split_inclusive(disturbs) {
        match part.char_indices().next_back() {
            Some((at, last)) if disturbs(last) => {
                let (plain, _) = part.split_at(at);
                write!(out, "{plain}\\u{:04x}", u32::from(last))?;
            }
            _ => out.write_str(part)?,
        }
    }
    Ok(())
}

fn disturbs(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
