//! What a session began with, so that it can begin again.

use bytes::Bytes;
use protocol::ProtocolVersion;

use crate::Secret;

/// The opening of a client session: enough to go on with it after a restart, here or in another
/// replica, and to open it anew at a server that has forgotten it.
#[derive(Clone, Debug)]
pub struct Handshake {
    /// The client's `initialize` request, whole.
    pub initialize: Bytes,
    /// The revision that the client and the gateway settled on.
    pub version: ProtocolVersion,
    /// The server's own session id, where it minted one.
    pub server_session: Option<Secret<String>>,
    /// The revision that the gateway and the server settled on; of the stateless era when the
    /// session is the gateway's alone.
    pub server_version: ProtocolVersion,
}
