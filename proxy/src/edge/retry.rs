//! Whether a failed attempt may be followed by another: a pure function of what is known about it,
//! so that its table of cases is its test.

/// What is known about a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// The endpoint's fault, not the client's or ours.
    pub upstream: bool,
    /// The connection came from the pool, and broke in a way that says the endpoint had closed it.
    pub stale_connection: bool,
    /// It came at once: most likely the endpoint had closed the connection before it saw the request. Later, it
    /// may as well have worked on it.
    pub prompt: bool,
    /// The endpoint says that it did not look at the request (RFC 9113, 8.7).
    pub unseen: bool,
    /// The method may be repeated (RFC 9110, 9.2.2).
    pub idempotent: bool,
    /// The whole request body is still there to be sent again.
    pub replayable: bool,
    /// Something of the response was sent to the client.
    pub responded: bool,
    /// Attempts that are left.
    pub left: u32,
}

/// What follows a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The client learns of it.
    GiveUp,
    /// The same endpoint, over a connection that was never used.
    FreshConnection,
    /// Another endpoint of the same version.
    OtherEndpoint,
}

/// Decides what follows after the connection was made.
#[must_use]
pub fn after_failure(failure: Failure) -> Next {
    let Failure { upstream, stale_connection, prompt, unseen, idempotent, replayable, responded, left } =
        failure;
    if !upstream || responded || !replayable {
        return Next::GiveUp;
    }
    // That a POST was not worked on can't be proven. Where it must never run twice, no attempt is left for it.
    if stale_connection && (idempotent || (prompt && left > 0)) {
        // Costs no attempt: it says nothing about the endpoint. The fresh one can't be stale.
        return Next::FreshConnection;
    }
    if (idempotent || unseen) && left > 0 { Next::OtherEndpoint } else { Next::GiveUp }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILURE: Failure = Failure {
        upstream: true,
        stale_connection: false,
        prompt: true,
        unseen: false,
        idempotent: true,
        replayable: true,
        responded: false,
        left: 1,
    };

    #[test]
    fn what_follows_a_failure() {
        let post = Failure { idempotent: false, ..FAILURE };
        let cases = [
            (FAILURE, Next::OtherEndpoint),
            (Failure { left: 0, ..FAILURE }, Next::GiveUp),
            (Failure { upstream: false, ..FAILURE }, Next::GiveUp),
            (Failure { responded: true, ..FAILURE }, Next::GiveUp),
            (Failure { replayable: false, ..FAILURE }, Next::GiveUp),
            (post, Next::GiveUp),
            (Failure { unseen: true, ..post }, Next::OtherEndpoint),
            (Failure { unseen: true, left: 0, ..post }, Next::GiveUp),
            (Failure { stale_connection: true, ..post }, Next::FreshConnection),
            (Failure { stale_connection: true, prompt: false, ..post }, Next::GiveUp),
            (Failure { stale_connection: true, left: 0, ..post }, Next::GiveUp),
            (Failure { stale_connection: true, prompt: false, ..FAILURE }, Next::FreshConnection),
            (Failure { stale_connection: true, left: 0, ..FAILURE }, Next::FreshConnection),
            (Failure { stale_connection: true, replayable: false, ..post }, Next::GiveUp),
            (Failure { stale_connection: true, responded: true, ..post }, Next::GiveUp),
        ];
        for (failure, expected) in cases {
            assert_eq!(after_failure(failure), expected, "{failure:?}");
        }
    }
}
