//! What a provider does on the wire, step by step.

use std::time::Duration;

use bytes::Bytes;

/// One step of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Sends the head of the answer.
    Head(Head),
    /// Sends bytes of the body, in one write.
    Data(Bytes),
    /// Sends the same bytes again and again, so many times; `usize::MAX` is without end.
    Repeat(Bytes, usize),
    /// Waits.
    Pause(Duration),
    /// Ends the body.
    End,
    /// Waits until the peer goes away.
    Silence,
    /// Closes the connection; over HTTP/2, resets the stream.
    Cut,
    /// Closes the connection with a TCP reset; over HTTP/2, resets the stream.
    Reset,
}

/// The head of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Its status.
    pub status: u16,
    /// Its headers, without those that frame the body.
    pub headers: Vec<(String, String)>,
    /// The length that it states. Without one the body is chunked.
    pub length: Option<usize>,
}

impl Head {
    /// A head with a content type.
    pub fn new(status: u16, content_type: &str) -> Self {
        Self { status, headers: vec![("content-type".to_owned(), content_type.to_owned())], length: None }
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a header in the place of others of its name.
    #[must_use]
    pub fn replaced(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(other, _)| other != name);
        self.header(name, value)
    }

    /// Stating a length.
    #[must_use]
    pub fn length(self, length: usize) -> Self {
        Self { length: Some(length), ..self }
    }
}

/// A whole body of known length.
pub(super) fn whole(head: Head, body: impl Into<Bytes>) -> Vec<Step> {
    let body = body.into();
    vec![Step::Head(head.length(body.len())), Step::Data(body), Step::End]
}
