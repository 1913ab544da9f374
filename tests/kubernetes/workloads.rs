//! Every kind of workload in the mesh as it is without: Jobs end, StatefulSets have their names,
//! probes prove the application, ports are left out, servers that speak first do so at once.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::support::{Mesh, Namespace, Run};

fn curl(from: &Namespace<'_>, target: &str, url: &str) -> Run {
    let words = ["curl", "--silent", "--show-error", "--fail", "--globoff", "-m", "10", url];
    from.exec(target, &words)
}

#[test]
#[ignore = "needs a cluster: .ci/kubernetes makes one"]
fn a_job_calls_and_completes() {
    let mesh = Mesh::shared();
    let shop = mesh.namespace("job");
    shop.apply(include_str!("manifests/web.yaml"));
    shop.rolled_out(&["deployment/web"]);
    shop.apply(include_str!("manifests/job.yaml"));
    shop.wait("condition=Complete", &["job/report"]);
    assert_eq!(shop.logs("job/report", &["--container=report"]), "web\n");
}

#[test]
#[ignore = "needs a cluster: .ci/kubernetes makes one"]
fn the_pods_of_a_stateful_set_are_called_by_their_own_names() {
    let mesh = Mesh::shared();
    let shop = mesh.namespace("stateful");
    shop.apply(include_str!("manifests/stateful.yaml"));
    shop.rolled_out(&["statefulset/store"]);
    for (caller, called) in [("store-0", "store-1"), ("store-1", "store-0"), ("store-1", "store-1")]
    {
        let url = format!("http://{called}.store:8080/");
        assert_eq!(curl(&shop, caller, &url).ok(), format!("{called}\n"), "from {caller}");
    }
}

#[test]
#[ignore = "needs a cluster: .ci/kubernetes makes one"]
fn probes_of_every_kind_prove_the_application() {
    let mesh = Mesh::shared();
    let shop = mesh.namespace("probes");
    let health = serde_json::to_string(include_str!("manifests/health.py")).expect("text");
    shop.apply(&include_str!("manifests/probes.yaml").replace("HEALTH", &health));
    shop.wait("condition=Ready", &["pod/probed"]);

    let turns = |container: &str, command: &str, condition: &str| {
        let exec = ["exec", "probed", "--container", container, "--", "sh", "-c", command];
        shop.kubectl(&exec).ok();
        shop.wait(condition, &["pod/probed"]);
    };
    turns("files", "rm /tmp/www/ready", "condition=Ready=false");
    turns("files", "touch /tmp/www/ready", "condition=Ready");
    turns("health", "touch /tmp/sick", "condition=Ready=false");
    turns("health", "rm /tmp/sick", "condition=Ready");

    // The application hears of its end as it asked to.
    let mut log = Command::new("kubectl");
    log.args(["--namespace", &shop.name, "logs", "--follow", "probed", "--container=files"]);
    let log = log.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("kubectl runs");
    shop.kubectl(&["delete", "pod", "probed"]).ok();
    let heard = log.wait_with_output().expect("the log ends with the container");
    let heard = String::from_utf8_lossy(&heard.stdout).into_owned()
        + &String::from_utf8_lossy(&heard.stderr);
    assert!(heard.contains("GET /stop"), "{heard}");
}

/// A server whose port is closed is not alive, whatever its sidecar is.
#[test]
#[ignore = "needs a cluster: .ci/kubernetes makes one"]
fn a_server_that_is_dead_is_started_again() {
    let mesh = Mesh::shared();
    let shop = mesh.namespace("dead");
    let health = serde_json::to_string(include_str!("manifests/health.py")).expect("text");
    shop.apply(&include_str!("manifests/probes.yaml").replace("HEALTH", &health));
    shop.wait("condition=Ready", &["pod/probed"]);
    let kill = "kill -KILL $(cat /tmp/pid)";
    shop.kubectl(&["exec", "probed", "--container=files", "--", "sh", "-c", kill]).ok();
    let restarts = "{.status.containerStatuses[?(@.name==\"files\")].restartCount}";
    shop.wait(&format!("jsonpath={restarts}=1"), &["pod/probed"]);
    shop.wait("condition=Ready", &["pod/probed"]);
}

#[test]
#[ignore = "needs a cluster: .ci/kubernetes makes one"]
fn ports_and_networks_are_left_out_where_annotations_say_so() {
    let mesh = Mesh::shared();
    let shop = mesh.namespace("exclusions");
    shop.apply(include_str!("manifests/exclusions.yaml"));
    let pods = ["pod/server", "pod/by-port", "pod/by-network", "pod/within"];
    shop.wait("condition=Ready", &pods);
    let outside = mesh.cluster.namespace("outside");
    outside.apply(include_str!("manifests/web.yaml"));
    outside.rolled_out(&["deployment/client"]);
    let address = shop.pod("app=server")["status"]["podIP"].as_str().expect("ready").to_owned();
    let (taken, left_out) = (format!("http://{address}:8080/"), format!("http://{address}:9090/"));

    assert_eq!(curl(&outside, "deployment/client", &left_out).ok(), "9090\n");
    assert!(!curl(&outside, "deployment/client", &taken).worked());
    assert_eq!(curl(&shop, "within", &taken).ok(), "8080\n");
    // Past their sidecars these two are as if they had none.
    assert!(!curl(&shop, "by-port", &taken).worked());
    assert!(!curl(&shop, "by-network", &taken).worked());
    assert_eq!(curl(&shop, "by-network", &left_out).ok(), "9090\n");
}

#[test]
#[ignore = "needs a cluster: .ci/kubernetes makes one"]
fn servers_that_speak_first_do_so_at_once() {
    let mesh = Mesh::shared();
    let shop = mesh.namespace("greeters");
    shop.apply(include_str!("manifests/greeters.yaml"));
    shop.rolled_out(&["deployment/database", "deployment/mail", "deployment/client"]);
    let within_seconds = |command: &[&str]| {
        let began = Instant::now();
        let said = shop.exec("deployment/client", command).ok();
        assert!(began.elapsed() < Duration::from_secs(5), "{command:?}: {:?}", began.elapsed());
        said
    };
    let query = ["mariadb", "--host=database", "--skip-column-names", "--execute=select 6 * 7"];
    let mail = "import smtplib; s = smtplib.SMTP('mail', 25, timeout=10); \
                print(s.sendmail('a@b.c', ['d@e.f'], 'Subject: x\\n\\nword'), s.quit()[0])";
    // Before the port is known to be opaque, and after.
    for _ in 0..3 {
        assert_eq!(within_seconds(&query), "42\n");
        assert_eq!(within_seconds(&["python3", "-c", mail]), "{} 221\n");
    }
    assert!(shop.logs("deployment/mail", &["--container=aiosmtpd"]).contains("word"));
}
