//! The fake server on standard input and output: one message a line.

#[cfg(test)]
mod tests;

use std::io::{self, BufRead, Write};

use super::Behaviour;
use super::echo::{Echo, Kind};
use crate::Error;

/// Serves until the input ends.
///
/// What has come together is answered together and backwards, all progress first: whoever relies on
/// an order that JSON-RPC does not promise gives answers to the wrong caller, and is found out.
///
/// # Errors
/// When the pipes fail.
pub fn serve_stdio(behaviour: Behaviour) -> Result<(), Error> {
    let echo = Echo::new(behaviour);
    let mut input = io::BufReader::with_capacity(1 << 16, io::stdin().lock());
    let mut output = io::stdout().lock();
    let mut lines = Vec::new();
    loop {
        lines.clear();
        while lines.is_empty() || input.buffer().contains(&b'\n') {
            let read = input.read_until(b'\n', &mut lines);
            if read.map_err(Error::io("read standard input"))? == 0 {
                return Ok(());
            }
        }
        let answers = answer(&echo, &lines);
        output
            .write_all(&answers)
            .and_then(|()| output.flush())
            .map_err(Error::io("write standard output"))?;
    }
}

/// The lines that answer `lines`.
fn answer(echo: &Echo, lines: &[u8]) -> Vec<u8> {
    let (mut notes, mut answers) = (Vec::new(), Vec::new());
    for line in lines.split(|&byte| byte == b'\n') {
        let Some(outcome) = echo.handle(line) else { continue };
        notes.extend(outcome.notes);
        notes.extend(outcome.update.map(|update| update.message));
        answers.extend(outcome.answer);
        if let Kind::Listen(listener) = outcome.kind {
            echo.listen(listener);
        }
    }
    let mut out = Vec::new();
    for message in notes.into_iter().chain(answers.into_iter().rev()) {
        out.extend_from_slice(message.as_bytes());
        out.push(b'\n');
    }
    out
}
