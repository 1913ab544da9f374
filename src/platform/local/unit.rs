//! A systemd user unit that runs the control plane instead of the supervisor of our own.

use super::Launch;

/// The unit's text.
pub fn unit(launch: &Launch) -> String {
    let line = launch.line().replace('%', "%%").replace('$', "$$");
    format!(
        "\
[Unit]
Description=meshctl control plane
Documentation=man:meshctl-control-plane-run(1)

[Service]
ExecStart={line}
Restart=on-failure
RestartSec=1s
UMask=0077
NoNewPrivileges=yes

[Install]
WantedBy=default.target
"
    )
}

/// A word as systemd and shells both take it.
pub(super) fn quoted(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-:=,@+".contains(&b);
    match !word.is_empty() && word.bytes().all(plain) {
        true => word.to_owned(),
        false => format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\"")),
    }
}
