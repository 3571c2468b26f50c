//! JSON texts that a strict parser must refuse, and ones that it must take, as whole messages and inside one.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};

use super::Bench;
use crate::gateway::{self, Gateway};
use crate::http::{self, Reply};
use crate::process::{Server, free_port};
use crate::{clients, tree};

const REFUSED: [i64; 3] = [-32_700, -32_600, -32_602];
const UNREADABLE: [i64; 2] = [-32_700, -32_600];

/// One text and what a strict parser does with it.
struct Row {
    name: String,
    bytes: Vec<u8>,
    expect: Expect,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    Accept,
    Reject,
    Either,
}

/// Posts every row, prints `corpus N/N`.
///
/// # Errors
/// When a row is not treated as it must be.
pub(super) fn run(bench: &Bench) -> anyhow::Result<()> {
    let rows = read(&bench.shared.join("corpus/json_parsing.jsonl"))?;
    let folder = bench.fresh("corpus")?;
    let port = free_port()?;
    let mut command = Command::new(&bench.binary);
    command
        .args(["demo-server", "--listen", &format!("127.0.0.1:{port}")])
        .arg("--root")
        .arg(&folder);
    let _server = Server::start("demo-server", &mut command, port, &folder)?;
    let upstream = json!({ "url": format!("http://127.0.0.1:{port}/mcp"), "transport": "http" });
    let policy = json!({ "policy_dir": tree::at(clients::OPEN_POLICY) });
    let gateway = Gateway::start(&bench.binary, &folder, &upstream, &policy)?;
    let session = open_session(gateway.port())?;

    let mut passed = 0;
    for row in &rows {
        match try_row(row, gateway.port(), &session) {
            Ok(()) => passed += 1,
            Err(error) => println!("FAIL  {}: {error:#}", row.name),
        }
    }
    println!("corpus {passed}/{}", rows.len());
    ensure!(passed == rows.len(), "{} rows of the corpus failed", rows.len() - passed);
    let (recorded, sent) = (gateway::rows(&gateway.stop()?)?.len(), 2 + 2 * rows.len());
    ensure!(recorded == sent, "{recorded} rows in the audit log for {sent} messages");
    Ok(())
}

fn open_session(port: u16) -> anyhow::Result<String> {
    let hello = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "corpus", "version": "1" } } });
    let reply = http::post(port, None, hello.to_string().as_bytes())?;
    let session = reply.header("mcp-session-id").map(str::to_owned);
    let session = session.with_context(|| format!("initialize opened no session: {reply:?}"))?;
    let ready = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    http::post(port, Some(&session), ready.to_string().as_bytes())?;
    Ok(session)
}

fn try_row(row: &Row, port: u16, session: &str) -> anyhow::Result<()> {
    let nested = [
        br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"x":"#,
        row.bytes.as_slice(),
        b"}}}",
    ]
    .concat();
    let reply = http::post(port, Some(session), &nested).context("nested")?;
    judge(row.expect, &reply).context("nested")?;
    // No row is a JSON-RPC message, so that as a whole message even a good one is refused.
    let expect = if row.expect == Expect::Accept { Expect::Reject } else { row.expect };
    let reply = http::post(port, Some(session), &row.bytes).context("bare")?;
    judge(expect, &reply).context("bare")
}

fn judge(expect: Expect, reply: &Reply) -> anyhow::Result<()> {
    ensure!(reply.status < 500, "status {}", reply.status);
    let message = reply.message()?;
    let code = message.pointer("/error/code").and_then(Value::as_i64);
    match expect {
        Expect::Reject => ensure!(code.is_some_and(|c| REFUSED.contains(&c)), "taken: {message}"),
        Expect::Accept => {
            ensure!(!code.is_some_and(|c| UNREADABLE.contains(&c)), "refused: {message}")
        }
        Expect::Either => {}
    }
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<Vec<Row>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read `{}`", path.display()))?;
    text.lines().map(parse).collect()
}

fn parse(line: &str) -> anyhow::Result<Row> {
    let row: Value = serde_json::from_str(line)?;
    let text = |key| row.get(key).and_then(Value::as_str);
    let name = text("subkind").context("a row without `subkind`")?.to_owned();
    let bytes = text("bytes_b64").and_then(base64);
    let expect = match text("expect") {
        Some("accept") => Expect::Accept,
        Some("reject") => Expect::Reject,
        Some("either") => Expect::Either,
        _ => bail!("row `{name}` expects nothing known"),
    };
    Ok(Row { bytes: bytes.with_context(|| format!("row `{name}` has no bytes"))?, name, expect })
}

/// Decodes padded standard base64.
fn base64(text: &str) -> Option<Vec<u8>> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut width, mut bytes) = (0_u32, 0_u32, Vec::new());
    for digit in text.trim_end_matches('=').bytes() {
        let value = ALPHABET.iter().position(|&a| a == digit)?;
        bits = (bits << 6) | u32::try_from(value).ok()?;
        width += 6;
        if width >= 8 {
            width -= 8;
            bytes.push(u8::try_from((bits >> width) & 0xff).ok()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests;
