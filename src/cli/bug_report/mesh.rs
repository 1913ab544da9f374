//! What the control plane says: about itself, the rules, and, through it, each proxy.

use serde_json::Value;

use super::Report;
use crate::cli::args::Context;
use crate::cli::client::Client;
use crate::cli::exit::Failure;
use crate::control::api::shapes::{MeshStatus, ProxyCommand, ProxyState};

/// Proxies that are asked.
const PROXIES: usize = 50;

/// What is asked for, and the name of the part.
const ASKED: [(&str, &str); 8] = [
    ("/v1/version", "control-plane.json"),
    ("/v1/status", "status.json"),
    ("/v1/objects", "rules.json"),
    ("/v1/history", "history.json"),
    ("/v1/propagation", "propagation.json"),
    ("/v1/certificates", "certificates.json"),
    ("/v1/endpoints", "endpoints.json"),
    ("/v1/traces", "traces.json"),
];

pub(super) fn collect(report: &mut Report, client: &Client) {
    for (path, name) in ASKED {
        let answer = client.get::<Value>(path, &[]);
        let away = answer.is_err() && name == "control-plane.json";
        report.answer(name, answer);
        if away {
            // The others would only say the same, each after its time.
            return;
        }
    }
    let proxies = match client.get::<MeshStatus>("/v1/status", &[]) {
        Ok(status) => status.proxies,
        Err(failure) => return report.absent("proxies", &failure.what()),
    };
    let connected = proxies.iter().filter(|it| it.state != ProxyState::Disconnected);
    for proxy in connected.clone().take(PROXIES) {
        let dir = format!("{}/{}", proxy.namespace, proxy.name);
        for (command, part) in [(ProxyCommand::Config, "config"), (ProxyCommand::Stats, "stats")] {
            let path = format!("/v1/proxies/{dir}/command");
            let answer: Result<Value, Failure> = client.post(&path, &command);
            report.answer(&format!("proxies/{dir}/{part}.json"), answer);
        }
    }
    let left = connected.count().saturating_sub(PROXIES);
    if left > 0 {
        report.absent("proxies", &format!("{left} more were not asked"));
    }
}

/// What `meshctl check` says, by this very program.
pub(super) fn checks(report: &mut Report, context: &Context) {
    let run = || {
        let mut command = std::process::Command::new(std::env::current_exe()?);
        command.args(["check", "--proxy", "-o", "json", "--color", "never"]);
        if let Ok(home) = context.home() {
            command.arg("--home").arg(home);
        }
        if let Some(name) = &context.cluster.context {
            command.arg("--context").arg(name);
        }
        if let Some(path) = &context.cluster.kubeconfig {
            command.arg("--kubeconfig").arg(path);
        }
        command.stdin(std::process::Stdio::null()).output()
    };
    match run() {
        Ok(output) => {
            let said = [output.stdout, output.stderr].concat();
            report.text("check.txt", &String::from_utf8_lossy(&said));
        }
        Err(error) => report.absent("check.txt", &error.to_string()),
    }
}
