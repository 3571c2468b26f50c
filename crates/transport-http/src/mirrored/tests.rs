//! Which headers are taken, and which are refused.

use domain::ErrorKind::{self, BadTransport, HeaderMismatch};
use http::Request;

use super::*;

fn read(headers: &[(&str, &str)]) -> Result<HttpTicket, Refusal> {
    let mut request = Request::builder().uri("/mcp");
    for (name, value) in headers {
        request = request.header(*name, value.as_bytes());
    }
    ticket(&request.body(()).unwrap().into_parts().0)
}

#[test]
fn every_header_of_mcp_is_handed_over_as_it_was_sent() {
    let ticket = read(&[
        ("Accept", "*/*"),
        ("Mcp-Session-Id", "s"),
        ("MCP-Protocol-Version", "1999-01-01"),
        ("Mcp-Method", "tools/call"),
        ("Mcp-Name", "=?base64?w6k=?="),
        ("Mcp-Param-Region", "eu"),
        ("Mcp-Param-user_id", " 7 "),
        ("Mcp-Unknown", "\u{e9}"),
    ])
    .unwrap();
    let fields = [&ticket.session, &ticket.version, &ticket.method, &ticket.name];
    let sent = ["s", "1999-01-01", "tools/call", "=?base64?w6k=?="];
    assert_eq!(fields.map(Option::as_deref), sent.map(Some));
    let params: Vec<_> = ticket.params.iter().map(|param| (&*param.name, &*param.value)).collect();
    assert_eq!(params, [("mcp-param-region", "eu"), ("mcp-param-user_id", " 7 ")]);

    let ticket = read(&[("Content-Type", "application/json")]).unwrap();
    assert!(ticket.session.is_none() && ticket.method.is_none() && ticket.params.is_empty());
}

#[track_caller]
fn check(headers: &[(&str, &str)], kind: ErrorKind) {
    let refusal = read(headers).expect_err("it is refused");
    assert_eq!((refusal.status.as_u16(), refusal.failure.kind), (400, kind), "{headers:?}");
    assert!(refusal.failure.message.contains("`mcp"), "{}", refusal.failure.message);
}

#[test]
fn a_header_has_one_value_of_visible_ascii() {
    for (name, kind) in [
        ("Mcp-Session-Id", BadTransport),
        ("MCP-Protocol-Version", BadTransport),
        ("Mcp-Method", HeaderMismatch),
        ("Mcp-Name", HeaderMismatch),
        ("Mcp-Param-Region", HeaderMismatch),
    ] {
        check(&[(name, "a"), (&name.to_lowercase(), "a")], kind);
        check(&[(name, "\u{e9}")], kind);
    }
}

#[test]
fn underscores_do_not_pass_for_hyphens() {
    for name in [
        "Mcp_Name",
        "Mcp_Method",
        "Mcp-Protocol_Version",
        "MCP_PROTOCOL_VERSION",
        "Mcp_Session-Id",
        "Mcp_Param_Region",
        "Mcp-Param_Region",
    ] {
        check(&[(name, "a")], HeaderMismatch);
    }
    read(&[("Mcp_Nam", "a"), ("Mcp_Names", "a"), ("Mcp_Paramount", "a")]).unwrap();
}
