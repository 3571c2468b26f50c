//! `mcp-proxy explain KIND`: the page of an error kind, the one that replies name under `docs`.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use domain::ErrorKind;

use crate::{Exit, output};

/// Options of `explain`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    mcp-proxy explain\n  \
    mcp-proxy explain policy_denied")]
pub(crate) struct ExplainArgs {
    /// An error kind, as in `data.kind` of a reply and in the column `error_kind`; without one, all are listed
    #[arg(value_parser = kind_parser(), hide_possible_values = true)]
    kind: Option<ErrorKind>,
}

/// Clap suggests a near kind for one that is mistyped, and shells complete them.
fn kind_parser() -> impl TypedValueParser<Value = ErrorKind> {
    PossibleValuesParser::new(ErrorKind::ALL.iter().map(|kind| kind.as_str())).try_map(|name| {
        ErrorKind::ALL.iter().find(|kind| kind.as_str() == name).copied().ok_or("no error kind")
    })
}

macro_rules! pages {
    ($($kind:ident = $file:literal;)*) => {
        /// The page of a kind. A kind without one does not compile.
        fn page(kind: ErrorKind) -> &'static str {
            match kind {
                $(ErrorKind::$kind => include_str!(concat!("../../../docs/errors/", $file, ".md")),)*
            }
        }
    };
}

pages! {
    ParseError = "parse_error";
    InvalidRequest = "invalid_request";
    InvalidParams = "invalid_params";
    MethodNotFound = "method_not_found";
    NotBridged = "not_bridged";
    HeaderMismatch = "header_mismatch";
    MissingCapability = "missing_capability";
    UnsupportedVersion = "unsupported_version";
    BadTransport = "bad_transport";
    TooLarge = "too_large";
    Forbidden = "forbidden";
    SessionNotFound = "session_not_found";
    Overloaded = "overloaded";
    PolicyDenied = "policy_denied";
    PolicyError = "policy_error";
    RateLimited = "rate_limited";
    ApprovalRequired = "approval_required";
    UpstreamError = "upstream_error";
    UpstreamTimeout = "upstream_timeout";
    AuditUnavailable = "audit_unavailable";
    Abandoned = "abandoned";
    Internal = "internal";
}

pub(crate) fn execute(args: &ExplainArgs) -> anyhow::Result<Exit> {
    let Some(kind) = args.kind else {
        output::data(&overview())?;
        return Ok(Exit::Done);
    };
    let origin = kind.origin().as_str();
    output::data(page(kind))?;
    output::line(&format!(
        "\nJSON-RPC code {}, HTTP status {}, origin {origin}, {}",
        kind.code(),
        kind.http_status(),
        if kind.retryable() { "worth a retry" } else { "not worth a retry" },
    ))?;
    Ok(Exit::Done)
}

/// Every kind with the title of its page.
fn overview() -> String {
    let width = ErrorKind::ALL.iter().map(|kind| kind.as_str().len()).max().unwrap_or_default();
    let line = |kind: &ErrorKind| {
        let title = page(*kind).lines().next().unwrap_or_default();
        format!("{:width$}  {}\n", kind.as_str(), title.trim_start_matches("# "))
    };
    ErrorKind::ALL.iter().map(line).collect()
}

#[cfg(test)]
mod tests;
