//! What clients say of themselves.

use std::cell::RefCell;
use std::sync::Arc;

use protocol::{Era, Message};
use session::Client;

/// How much of what a client calls itself is kept, in bytes.
const MAX_BYTES: usize = 256;

/// The client's account of itself; what does not fit is left empty.
pub(crate) fn read(client_info: Option<&str>) -> Client {
    let info: serde_json::Value =
        client_info.and_then(|info| serde_json::from_str(info).ok()).unwrap_or_default();
    let text = |member: &str| {
        let text = info.get(member).and_then(serde_json::Value::as_str).unwrap_or_default();
        text.get(..text.floor_char_boundary(MAX_BYTES)).unwrap_or_default().into()
    };
    Client { name: text("name"), version: text("version") }
}

thread_local! {
    /// The last account of itself that a stateless client gave on this thread, as written and read.
    static LAST_CLIENT: RefCell<Option<(Box<str>, Arc<Client>)>> = const { RefCell::new(None) };
}

/// Reads what a stateless client says of itself. Clients repeat it with each message.
pub(crate) fn stateless(message: &Message) -> Option<Arc<Client>> {
    let account = message.client_info().filter(|_| message.era() == Era::Modern)?;
    LAST_CLIENT.with_borrow_mut(|last| {
        if let Some((written, read)) = last
            && **written == *account
        {
            return Some(Arc::clone(read));
        }
        let client = Arc::new(read(Some(account)));
        *last = Some((account.into(), Arc::clone(&client)));
        Some(client)
    })
}
