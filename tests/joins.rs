//! Workloads on another machine: how they join, what they may be, and what they live through. The
//! machines are network namespaces, the programs the binary itself.

mod guide;
mod machines;

use machines::{HERE, LISTEN, Machines, THERE, URL, application, read};

use crate::support::eventually;

/// What who shows a token that proves nothing is told, whatever is wrong with it.
const NO: &str = "the control plane did not sign: the token does not prove that";

/// A text that differs in the last digit of the part.
fn bent(token: &str, part: usize) -> String {
    let mut parts: Vec<String> = token.trim().split('.').map(str::to_owned).collect();
    let last = parts[part].pop().expect("it is not empty");
    parts[part].push(if last == '0' { '1' } else { '0' });
    parts.join(".")
}

#[test]
fn a_workload_joins_from_another_machine_and_calls_go_both_ways_over_mtls() {
    let machines = Machines::new();
    let (reviews, web) =
        (application(&machines.here, "from here"), application(&machines.there, "from there"));
    let inbound = format!("{HERE}:0");
    let app = reviews.address().to_string();
    let words = ["--service", "reviews", "--inbound", &inbound, "--app", &app];
    let reviews = machines.proxy(&machines.here, "here", &words);
    let token = machines.token("web");
    let (app, file) = (web.address().to_string(), token.display().to_string());
    let join = ["--service", "web", "--app", &app, "--control-plane", URL, "--token-file", &file];
    let web = machines.proxy(&machines.there, "there", &join);
    assert!(web.told("inbound").starts_with(&format!("{THERE}:")), "{}", web.told("inbound"));
    assert_eq!(web.told("identity"), "spiffe://cluster.local/ns/default/sa/web");

    assert_eq!(web.ask(&machines.there, "reviews"), (200, "from here".to_owned()));
    assert_eq!(reviews.ask(&machines.here, "web"), (200, "from there".to_owned()));
    eventually("both directions are seen", || {
        let status = machines.json(&["status", "-o", "json"]);
        let edges = status["edges"].as_array()?.clone();
        let seen = |from: &str, to: &str| {
            edges.iter().any(|it| it["from"] == from && it["to"] == to && it["mtls"] == true)
        };
        (seen("web", "reviews") && seen("reviews", "web")).then_some(())
    });
    let list = machines.json(&["token", "list", "-o", "json"]);
    let used = &list["tokens"][0];
    assert_eq!((&used["state"], &used["usedBy"]), (&"Used".into(), &"default/web-0".into()));
    assert_eq!(used["usedFrom"], THERE);
    let log = read(&machines.path("here").join("control-plane.log"));
    let line = log.lines().find(|line| line.contains("join token used")).expect("it is logged");
    assert!(line.contains("audit") && line.contains("default/web-0"), "{line}");
    assert!(!log.contains(read(&token).trim()), "no secret in the log");

    // Without a token, and without a control plane, it lives on what it has.
    web.kill();
    let stopped = machines.run_here(&["uninstall", "--yes"]);
    assert_eq!(stopped.code, 0, "{stopped:?}");
    let again = ["--service", "web", "--app", &app, "--control-plane", URL];
    let web = machines.proxy(&machines.there, "there", &again);
    assert_eq!(web.ask(&machines.there, "reviews"), (200, "from here".to_owned()));
    let started = machines.run_here(&["install"]);
    assert!(started.stdout.contains(&format!("at {LISTEN}")), "it listens as before: {started:?}");
    eventually("it is back in the mesh", || {
        let status = machines.json(&["status", "-o", "json"]);
        let proxies = status["proxies"].as_array()?.clone();
        proxies.iter().any(|it| it["name"] == "web-0" && it["state"] == "Synced").then_some(())
    });
    assert_eq!(reviews.ask(&machines.here, "web"), (200, "from there".to_owned()));
    let status = machines.run_here(&["status"]).stdout;
    assert!(status.contains(&format!("at {LISTEN} for other machines too")), "{status}");
    let check = machines.run_here(&["check", "--proxy"]).stdout;
    assert!(check.contains("it listens for proxies of other machines too"), "{check}");
}

#[test]
fn tokens_that_prove_nothing_are_refused_alike() {
    let machines = Machines::new();
    let good = read(&machines.token("web"));
    let other = read(&machines.token("ratings"));
    let file = machines.path("shown").display().to_string();
    let shown = |home: &str, token: &str| {
        std::fs::write(&file, token).expect("it is ours");
        machines.refused_there(home, &["--service", "web", "--token-file", &file])
    };
    let revoked = machines.json(&["token", "create", "--service", "web", "-o", "json"]);
    let id = revoked["id"].as_str().expect("a text").to_owned();
    let gone = machines.run_here(&["token", "revoke", &id]);
    assert_eq!(gone.stdout, format!("token/{id} revoked\n"), "{gone:?}");
    let cases = [
        ("another id", bent(&good, 1)),
        ("another secret", bent(&good, 2)),
        ("for another account", other.clone()),
        ("taken back", revoked["token"].as_str().expect("a text").to_owned()),
    ];
    let told = |stderr: &str| stderr.split("error: ").nth(1).map(str::to_owned);
    let mut answers = Vec::new();
    for (case, token) in cases {
        let run = shown("refused", &token);
        assert_eq!(run.code, 1, "{case}: {run:?}");
        assert!(run.stderr.contains(NO), "{case}: {run:?}");
        answers.push(told(&run.stderr));
    }
    // The good one is good still, once.
    let mut joined = machines.command(&machines.there, "joined");
    std::fs::write(&file, &good).expect("it is ours");
    joined.args(["proxy", "run", "--service", "web", "--control-plane", URL]);
    let run = joined.args(["--token-file", &file, "--", "true"]).output().expect("it runs");
    assert!(run.status.success(), "{run:?}");
    answers.push(told(&shown("late", &good).stderr));
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");

    let pin = shown("refused", &bent(&other, 3));
    assert!(pin.stderr.contains("is not the control plane of the token's mesh"), "{pin:?}");
    let nothing = shown("refused", "nothing of the kind\n");
    assert!(nothing.stderr.contains("holds no join token"), "{nothing:?}");
    let bare = machines.refused_there("refused", &["--service", "web"]);
    assert_eq!(bare.code, 1, "{bare:?}");
    assert!(bare.stderr.contains("no certificate yet, and no token"), "{bare:?}");
    assert!(bare.stderr.contains("meshctl token create --service"), "{bare:?}");
}

#[test]
fn who_joined_for_one_service_is_no_other() {
    let machines = Machines::new();
    let token = machines.token("web").display().to_string();
    let run = machines.refused_there(
        "there",
        &["--service", "payments", "--service-account", "web", "--token-file", &token],
    );
    assert_eq!(run.code, 1, "{run:?}");
    assert!(
        run.stderr.contains("joined from another machine for `web`, not for `payments`"),
        "{run:?}"
    );
    let status = machines.json(&["status", "-o", "json"]);
    assert_eq!(status["services"], serde_json::json!([]), "{status:#}");
}

#[test]
fn an_address_that_no_other_machine_reaches_is_refused() {
    let machines = Machines::new();
    let token = machines.token("web").display().to_string();
    let join = ["--service", "web", "--token-file", &token, "--app", "127.0.0.1:9"];
    for (words, why) in [
        (["--advertise", "127.0.0.1"], "`--advertise 127.0.0.1` is a loopback address"),
        (["--inbound", "127.0.0.1:0"], "`--inbound 127.0.0.1:0` is a loopback address"),
    ] {
        let run = machines.refused_there("there", &[&join[..], &words].concat());
        assert_eq!(run.code, 2, "{run:?}");
        assert!(run.stderr.contains(why), "{run:?}");
    }
    let foreign = machines.refused_there("there", &[&join[..], &["--advertise", HERE]].concat());
    assert_eq!(foreign.code, 1, "{foreign:?}");
    assert!(foreign.stderr.contains("is not an address of this machine"), "{foreign:?}");
    let everywhere = ["--inbound", "0.0.0.0:0", "--control-plane", URL];
    let web = machines.proxy(&machines.there, "there", &[&join[..], &everywhere].concat());
    let list = machines.json(&["endpoints", "list", "web", "-o", "json"]);
    let told = list["endpoints"][0]["addresses"][0].as_str().expect("a text");
    assert!(told.starts_with(THERE), "it is told by which it reaches the control plane: {told}");
    drop(web);
}

#[test]
fn a_port_that_is_taken_is_refused_with_its_holder() {
    let machines = Machines::new();
    let mut second = machines.command(&machines.here, "second");
    let run = second.args(["install", "--listen", LISTEN]).output().expect("it runs");
    let stderr = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(1), "{stderr}");
    let words = format!("cannot listen on `{LISTEN}`: the port is in use by `meshctl` (pid ");
    assert!(stderr.contains(&words), "{stderr}");
    let mut elsewhere = machines.command(&machines.here, "third");
    let listen = format!("{THERE}:15012");
    let run = elsewhere.args(["install", "--listen", &listen]).output().expect("it runs");
    let stderr = String::from_utf8_lossy(&run.stderr);
    assert!(stderr.contains(&format!("`{THERE}` is not an address of this machine")), "{stderr}");
}
