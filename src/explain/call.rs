//! A request as somebody describes it, and its head in the bytes that a proxy would get.

/// Why a description is no request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// It is not a URL that a proxy is asked for.
    #[error("`{0}` is not a URL that a proxy can be asked for: write `http://HOST/PATH`")]
    Scheme(String),
    /// Nobody is called.
    #[error("`{0}` names no host: write `http://HOST/PATH`")]
    NoHost(String),
    /// A gRPC method is `package.Service/Method`.
    #[error("`{0}` is not a gRPC method, which is written `package.Service/Method`")]
    Method(String),
    /// A tunnel is no request that a rule could be about.
    #[error("`CONNECT` opens a tunnel, about which there are no rules")]
    Connect,
    /// It would be more than one line.
    #[error("{0} contains a line break")]
    LineBreak(&'static str),
}

/// See the head of this file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    method: String,
    authority: String,
    target: String,
    headers: Vec<(String, String)>,
    grpc: bool,
}

impl Call {
    /// An HTTP request for `url`, `http://HOST[:PORT]/PATH?QUERY`; the scheme and the path may be
    /// left out.
    ///
    /// # Errors
    /// [`CallError`]. What is a request, but not one that a proxy takes, is explained.
    pub fn http(
        method: &str,
        url: &str,
        headers: Vec<(String, String)>,
    ) -> Result<Self, CallError> {
        if method.eq_ignore_ascii_case("connect") {
            return Err(CallError::Connect);
        }
        let breaks = |text: &str| text.contains(['\r', '\n']);
        if breaks(method) || breaks(url) {
            return Err(CallError::LineBreak("the request"));
        }
        if headers.iter().any(|(name, value)| breaks(name) || breaks(value)) {
            return Err(CallError::LineBreak("a header field"));
        }
        let rest = match url.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            Some(_) => return Err(CallError::Scheme(url.to_owned())),
            None => url,
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        if authority.is_empty() {
            return Err(CallError::NoHost(url.to_owned()));
        }
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        Ok(Self {
            method: method.to_owned(),
            authority: authority.to_owned(),
            target,
            headers,
            grpc: false,
        })
    }

    /// A call of a gRPC method of the server at `url`.
    ///
    /// # Errors
    /// As [`Call::http`].
    pub fn grpc(
        method: &str,
        url: &str,
        headers: Vec<(String, String)>,
    ) -> Result<Self, CallError> {
        let method = method.strip_prefix('/').unwrap_or(method);
        let named = method.split_once('/').filter(|(service, method)| {
            !service.is_empty() && !method.is_empty() && !method.contains(['/', '?'])
        });
        if named.is_none() {
            return Err(CallError::Method(method.to_owned()));
        }
        let call = Self::http("POST", url, headers)?;
        if call.target != "/" {
            return Err(CallError::Method(call.target));
        }
        Ok(Self { target: format!("/{method}"), grpc: true, ..call })
    }

    /// The method of HTTP.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The host, as written.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The whole of it.
    pub fn url(&self) -> String {
        format!("http://{}{}", self.authority, self.target)
    }

    pub(super) fn protocol(&self) -> &'static str {
        if self.grpc { "grpc" } else { "http" }
    }

    /// The head, as a client writes it to a proxy. That of a call over HTTP/2 reads the same (see
    /// [`crate::proxy::head`]).
    pub(super) fn bytes(&self) -> Vec<u8> {
        let Self { method, authority, headers, .. } = self;
        let mut text = format!("{method} {} HTTP/1.1\r\n", self.url());
        let said = |name: &str| headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
        if !said("host") {
            text += &format!("host: {authority}\r\n");
        }
        if self.grpc && !said("content-type") {
            text += "content-type: application/grpc\r\n";
        }
        for (name, value) in headers {
            text += &format!("{name}: {value}\r\n");
        }
        (text + "\r\n").into_bytes()
    }
}
