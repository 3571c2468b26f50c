//! Why a message got no answer, and what may be done about it.

use domain::Failure;
use http::StatusCode;

use crate::failure;
use crate::target::Target;

/// Why a message got no answer.
pub(crate) enum Miss {
    /// The server does not speak this transport at this address; the message did nothing.
    NotHere(Failure),
    /// The server provably did not take the message: it may be sent again.
    NotTaken(Failure),
    /// The message failed.
    Failed(Failure),
}

impl Miss {
    /// A status other than success where a stream was to be opened.
    pub(crate) fn of_status(status: StatusCode, target: &Target) -> Self {
        let failure = failure::status(status, format!("GET {}", target.shown()));
        // The server is there, and may be busy: only then is the way itself not in doubt.
        let busy = status.is_server_error() || status.as_u16() == 429;
        if busy { Self::Failed(failure) } else { Self::NotHere(failure) }
    }

    /// The failure, whichever it is.
    pub(crate) fn into_failure(self) -> Failure {
        match self {
            Self::NotHere(failure) | Self::NotTaken(failure) | Self::Failed(failure) => failure,
        }
    }

    /// The same for a message of which nothing left the gateway.
    pub(crate) fn unsent(self) -> Self {
        match self {
            Self::NotHere(failure) => Self::NotHere(failure.unsent()),
            Self::NotTaken(failure) => Self::NotTaken(failure.unsent()),
            Self::Failed(failure) => Self::Failed(failure.unsent()),
        }
    }
}

impl From<Failure> for Miss {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}
