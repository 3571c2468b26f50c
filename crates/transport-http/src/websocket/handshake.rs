//! The opening handshake (RFC 6455, section 4.2).

use http::header::{
    CONNECTION, HeaderName, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::app::empty;
use crate::content::Content;
use crate::gate::single;
use crate::refusal::Refusal;

const SUBPROTOCOL: &str = "mcp";
const VERSION: &str = "13";

/// The agreement to a handshake, or what is wrong with it.
pub(super) fn agree(request: &Parts) -> Result<Response<Content>, Refusal> {
    if request.method != Method::GET {
        return Err(Refusal::method("GET"));
    }
    let asks = |name: &HeaderName, wanted: &str| {
        elements(request, name).any(|element| element.eq_ignore_ascii_case(wanted))
    };
    if !asks(&CONNECTION, "upgrade") || !asks(&UPGRADE, "websocket") {
        let message =
            "here is WebSocket: send the headers `Connection: Upgrade` and `Upgrade: websocket`";
        return Err(upgrade_required(message));
    }
    if single(request, &SEC_WEBSOCKET_VERSION)? != Some(VERSION) {
        return Err(upgrade_required("the header `Sec-WebSocket-Version` must be `13`"));
    }
    if !elements(request, &SEC_WEBSOCKET_PROTOCOL).any(|offered| offered == SUBPROTOCOL) {
        let message =
            "the subprotocol `mcp` is not offered: send the header `Sec-WebSocket-Protocol: mcp`";
        return Err(Refusal::bad(message));
    }
    let key = single(request, &SEC_WEBSOCKET_KEY)?.filter(|key| is_key(key));
    let key = key
        .ok_or_else(|| Refusal::bad("the header `Sec-WebSocket-Key` must be 16 bytes in base64"))?;
    let accept = HeaderValue::try_from(derive_accept_key(key.as_bytes()));
    let accept =
        accept.map_err(|_| Refusal::bad("the header `Sec-WebSocket-Key` cannot be used"))?;
    let mut response = empty(StatusCode::SWITCHING_PROTOCOLS);
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    Ok(response)
}

/// Says which protocol is spoken here (RFC 9110, section 15.5.22; RFC 6455, section 4.2.2).
fn upgrade_required(message: &str) -> Refusal {
    let headers = vec![
        (UPGRADE, HeaderValue::from_static("websocket")),
        (SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION)),
    ];
    Refusal { headers, ..Refusal::misfit(StatusCode::UPGRADE_REQUIRED, message) }
}

/// The elements of a list header, over all its lines (RFC 9110, section 5.6.1).
fn elements<'a>(request: &'a Parts, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = request.headers.get_all(name).into_iter();
    lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(',')).map(str::trim)
}

/// Whether that is the base64 of 16 bytes.
fn is_key(key: &str) -> bool {
    data_encoding::BASE64.decode(key.as_bytes()).is_ok_and(|bytes| bytes.len() == 16)
}

#[cfg(test)]
mod tests;
