//! The headers that a stateless server wants with a call, for a client that knows of none.

use std::sync::Arc;

use domain::{Failure, Permit};
use protocol::{Kind, Message, Method, ParamHeader, object};

use super::LegacyClient;
use crate::ask::ask;

/// Pages of one list that the gateway asks for at most.
const PAGES: usize = 100;

impl LegacyClient {
    /// The headers that a call of a tool travels with. Tools that the gateway has not seen are
    /// listed first, as they are when the server did not agree with the headers (`again`). A server
    /// that does not list them gets none, and says so itself.
    pub(super) async fn headers(
        &self,
        permit: &Permit,
        call: &Message,
        again: bool,
    ) -> Arc<[ParamHeader]> {
        let tools = self.shared.tools();
        let applies = call.method() == Some(Method::ToolsCall) && self.shared.has_headers();
        if !applies {
            return Arc::default();
        }
        if let Some(headers) = tools.headers(call).filter(|_| !again) {
            return headers;
        }
        let _listing = tools.listing().await;
        let known = tools.headers(call).filter(|_| !again);
        if known.is_none()
            && let Err(failure) = self.list_tools(permit).await
        {
            tracing::debug!(error = %failure, "the tools of the server could not be listed");
        }
        known.or_else(|| tools.headers(call)).unwrap_or_default()
    }

    async fn list_tools(&self, permit: &Permit) -> Result<(), Failure> {
        let mut cursor: Option<String> = None;
        for page in 0..PAGES {
            let params = cursor.as_ref().map(|cursor| format!(r#"{{"cursor":{cursor}}}"#));
            let list = self.written(Method::ToolsList.as_str(), params.as_deref())?;
            let answer = ask(&*self.raw, permit.translated(), list, None).await?;
            let Some(result) = answer.result().filter(|_| answer.kind() == Kind::Response) else {
                return Ok(());
            };
            self.shared.tools().read(result, page == 0, true);
            cursor = object::get(result, "nextCursor").map(str::to_owned);
            if cursor.is_none() {
                self.shared.tools().note_whole();
                return Ok(());
            }
        }
        Ok(())
    }
}
