//! Redirects and rewriting inside of a `meshctl.v1.Service`, to bytes and back.
//!
//! A proxy writes these values into first lines and `Location` as they are, so what could be read
//! as more than a host or a path is refused here, whoever sent it.

use prost::Message;

use super::DecodeError;
use super::field::{self, numbered};
use crate::names::check_subdomain;
use crate::resource::{PathEdit, Redirect, Rewrite, Scheme};

numbered!(scheme: Scheme { 1 => Scheme::Http, 2 => Scheme::Https });

/// Numbers and texts left out mean what they mean in [`Redirect`].
#[derive(Clone, PartialEq, Message)]
pub(super) struct WireRedirect {
    #[prost(uint32, tag = "1")]
    scheme: u32,
    #[prost(string, tag = "2")]
    hostname: String,
    #[prost(message, optional, tag = "3")]
    path: Option<WirePathEdit>,
    #[prost(uint32, tag = "4")]
    port: u32,
    #[prost(uint32, tag = "5")]
    status: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct WireRewrite {
    #[prost(string, tag = "1")]
    hostname: String,
    #[prost(message, optional, tag = "2")]
    path: Option<WirePathEdit>,
}

/// `how`: 1 the full path, 2 the prefix `matched`.
#[derive(Clone, PartialEq, Message)]
struct WirePathEdit {
    #[prost(uint32, tag = "1")]
    how: u32,
    #[prost(string, tag = "2")]
    value: String,
    #[prost(string, tag = "3")]
    matched: String,
}

pub(super) fn encode_redirect(redirect: &Redirect) -> WireRedirect {
    WireRedirect {
        scheme: redirect.scheme.map_or(0, scheme::encode),
        hostname: redirect.hostname.clone().unwrap_or_default(),
        path: redirect.path.as_ref().map(encode_path),
        port: redirect.port.map_or(0, u32::from),
        status: redirect.status.into(),
    }
}

/// `None` for no change, so that there is one encoding of it.
pub(super) fn encode_rewrite(rewrite: &Rewrite) -> Option<WireRewrite> {
    (!rewrite.is_empty()).then(|| WireRewrite {
        hostname: rewrite.hostname.clone().unwrap_or_default(),
        path: rewrite.path.as_ref().map(encode_path),
    })
}

fn encode_path(path: &PathEdit) -> WirePathEdit {
    let (how, value, matched) = match path {
        PathEdit::Full(full) => (1, full.clone(), String::new()),
        PathEdit::Prefix { matched, replacement } => (2, replacement.clone(), matched.clone()),
    };
    WirePathEdit { how, value, matched }
}

pub(super) fn decode_redirect(wire: WireRedirect) -> Result<Redirect, DecodeError> {
    let decode = || {
        let status = Redirect::STATUSES.into_iter().find(|it| u32::from(*it) == wire.status);
        Ok(Redirect {
            scheme: match wire.scheme {
                0 => None,
                number => Some(scheme::decode("scheme", number)?),
            },
            hostname: decode_hostname(wire.hostname)?,
            path: wire.path.map(decode_path).transpose()?,
            port: match wire.port {
                0 => None,
                number => Some(field::port("port", number)?),
            },
            status: status.ok_or_else(|| field::unknown("status", wire.status))?,
        })
    };
    decode().map_err(|error: DecodeError| error.inside("redirect"))
}

pub(super) fn decode_rewrite(wire: Option<WireRewrite>) -> Result<Rewrite, DecodeError> {
    let Some(wire) = wire else { return Ok(Rewrite::default()) };
    let decode = || {
        let hostname = decode_hostname(wire.hostname)?;
        Ok(Rewrite { hostname, path: wire.path.map(decode_path).transpose()? })
    };
    decode().map_err(|error: DecodeError| error.inside("rewrite"))
}

fn decode_hostname(text: String) -> Result<Option<String>, DecodeError> {
    if text.is_empty() {
        return Ok(None);
    }
    check_subdomain("host name", &text)
        .map_err(|error| DecodeError::new("hostname", error.to_string()))?;
    Ok(Some(text))
}

fn decode_path(wire: WirePathEdit) -> Result<PathEdit, DecodeError> {
    let WirePathEdit { how, value, matched } = wire;
    match how {
        1 => Ok(PathEdit::Full(path(value, |text| text.starts_with('/'))?)),
        2 => {
            let part =
                |text: &str| text.is_empty() || text.starts_with('/') && !text.ends_with('/');
            Ok(PathEdit::Prefix { matched: path(matched, part)?, replacement: path(value, part)? })
        }
        other => Err(field::unknown("path", other)),
    }
}

/// Visible ASCII that neither a query nor a fragment begins in.
fn path(text: String, form: impl Fn(&str) -> bool) -> Result<String, DecodeError> {
    let text = field::text("path", text)?;
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"?#\\".contains(&byte);
    if form(&text) && text.bytes().all(plain) {
        return Ok(text);
    }
    Err(DecodeError::new("path", "is no path, or no part of one"))
}
