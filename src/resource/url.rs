//! Changes to what a request asks for: redirects, and rewriting on the way to a backend.
//!
//! The Gateway API's `RequestRedirect` and `URLRewrite` filters, with everything filled in that the
//! proxy would otherwise have to look for in the rule's matches.

/// The client is told to ask elsewhere. What is `None` stays as in the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// The scheme of `Location`.
    pub scheme: Option<Scheme>,
    /// The host of `Location`: a DNS name in lower case.
    pub hostname: Option<String>,
    /// The path of `Location`; the query always stays.
    pub path: Option<PathEdit>,
    /// The port of `Location`. `None`: that of the scheme where one is given, else the one called.
    pub port: Option<u16>,
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
}

impl Redirect {
    /// The statuses that a redirect may have.
    pub const STATUSES: [u16; 5] = [301, 302, 303, 307, 308];
}

/// A scheme of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `http`
    Http,
    /// `https`
    Https,
}

impl Scheme {
    /// As it stands in a URI.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port that a URI without one means.
    pub fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// Changes to the target of a request that is passed on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rewrite {
    /// The host that the backend sees, a DNS name in lower case.
    pub hostname: Option<String>,
    /// The path that the backend sees; the query always stays.
    pub path: Option<PathEdit>,
}

impl Rewrite {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.hostname.is_none() && self.path.is_none()
    }
}

/// A change to a path, which is canonical before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathEdit {
    /// This path instead of it.
    Full(String),
    /// The elements at its front that the rule's prefix matched are replaced.
    Prefix {
        /// What was matched, without a slash at its end; empty for `/`.
        matched: String,
        /// What stands there instead, without a slash at its end; empty for nothing.
        replacement: String,
    },
}

impl PathEdit {
    /// `path` as it is changed. What does not begin with what was matched stays, and so does the
    /// `*` of `OPTIONS`, which is no path.
    pub fn apply(&self, path: &str) -> String {
        match self {
            _ if path == "*" => path.to_owned(),
            Self::Full(full) => full.clone(),
            Self::Prefix { matched, replacement } => match path.strip_prefix(matched.as_str()) {
                Some(rest) if rest.is_empty() && replacement.is_empty() => "/".to_owned(),
                Some(rest) if rest.is_empty() || rest.starts_with('/') => {
                    format!("{replacement}{rest}")
                }
                _ => path.to_owned(),
            },
        }
    }
}

#[cfg(test)]
mod tests;
