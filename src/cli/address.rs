//! `ADDR:PORT` on the command line, for clap's `value_parser`. A lone port is refused with the
//! address that is probably meant, and so is a name: nothing is looked up.

use std::net::{IpAddr, SocketAddr};

#[cfg(test)]
mod tests;

/// An address to listen on; port 0 leaves the choice to the program.
pub(crate) fn listen(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        let near = match (text.parse::<u16>(), text.parse::<IpAddr>(), text.rsplit_once(':')) {
            (Ok(port), ..) => format!("127.0.0.1:{port}"),
            (_, Ok(ip), _) => SocketAddr::new(ip, 9080).to_string(),
            (.., Some(("" | "localhost", port))) if port.parse::<u16>().is_ok() => {
                format!("127.0.0.1:{port}")
            }
            _ => "127.0.0.1:9080".to_owned(),
        };
        format!("`{text}` is not of the form `ADDR:PORT`, write for example `{near}`")
    })
}

/// An address to connect to, which has a port.
pub(crate) fn connect(text: &str) -> Result<SocketAddr, String> {
    match listen(text)? {
        address if address.port() == 0 => Err(format!("`{text}` has no port to connect to")),
        address => Ok(address),
    }
}

/// `https://HOST:PORT` of a control plane, as `host:port`.
pub(crate) fn control_plane(text: &str) -> Result<String, String> {
    let wrong = || {
        format!(
            "`{text}` is not of the form `https://HOST:PORT`, write for example `https://192.0.2.7:15012`"
        )
    };
    let uri: http::Uri = text.parse().map_err(|_| wrong())?;
    let bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
    let authority = uri.authority().filter(|_| bare && uri.scheme_str() == Some("https"));
    let authority = authority.filter(|it| !it.as_str().contains('@') && !it.host().is_empty());
    let authority = authority.ok_or_else(wrong)?;
    let port = authority.port_u16().filter(|port| *port > 0).ok_or_else(wrong)?;
    Ok(format!("{}:{port}", authority.host()))
}
