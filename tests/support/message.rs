//! Messages of HTTP/1.1 as tests look at them: the head as it was written, the body put together.

/// What a scripted application received.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    /// The head with the empty line, as it arrived.
    pub(crate) head: String,
    /// The body without its framing.
    pub(crate) body: Vec<u8>,
    /// The trailer fields, as they arrived.
    pub(crate) trailers: String,
}

impl Request {
    /// Method and target.
    pub(crate) fn line(&self) -> &str {
        self.head.split(" HTTP/1").next().unwrap_or_default()
    }

    /// The target.
    pub(crate) fn path(&self) -> &str {
        self.line().split(' ').nth(1).unwrap_or_default()
    }

    /// The method.
    pub(crate) fn method(&self) -> &str {
        self.line().split(' ').next().unwrap_or_default()
    }

    /// All values of a field, joined by `, `; `None` where it is not there.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        field(&self.head, name)
    }
}

/// What a client received.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: u16,
    /// The head with the empty line, as it arrived.
    pub(crate) head: String,
    /// The body without its framing.
    pub(crate) body: Vec<u8>,
    /// The trailer fields, as they arrived.
    pub(crate) trailers: String,
}

impl Answer {
    /// As [`Request::field`].
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        field(&self.head, name)
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The word of the proxy that answered itself; empty where the application answered.
    pub(crate) fn reason(&self) -> String {
        self.field("meshctl-reason").unwrap_or_default()
    }
}

/// All values of a field of a head, joined by `, `.
pub(crate) fn field(head: &str, name: &str) -> Option<String> {
    let values: Vec<_> = head
        .split("\r\n")
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .filter(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
        .collect();
    (!values.is_empty()).then(|| values.join(", "))
}
