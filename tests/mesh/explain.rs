//! What `explain` says of a request, held against what becomes of that very request in a mesh that
//! runs: the same status, reason, rule and backend, for every combination of a table.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use meshctl::explain::{Call, Explanation, Known, Live, Model, Outcome, explain};
use meshctl::resource::{Key, Kind, Resource};
use meshctl::xds::codec;

use crate::support::{Answer, Mesh, Origin, eventually};

/// Rules with one of everything that decides.
const RULES: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: reviews}
spec:
  parentRefs: [{group: \"\", kind: Service, name: reviews, port: 80}]
  rules:
  - name: canary
    matches: [{path: {type: PathPrefix, value: /}, headers: [{name: x-user, value: ada}]}]
    backendRefs: [{name: reviews-v2, port: 80}]
  - name: exact
    matches: [{path: {type: Exact, value: /exact}}]
    backendRefs: [{name: reviews-v2, port: 80}]
  - name: regex
    matches: [{path: {type: RegularExpression, value: \"/r[0-9]+\"}}]
    backendRefs: [{name: reviews-v1, port: 80}]
  - name: write
    matches: [{method: POST, path: {type: PathPrefix, value: /a}}]
    backendRefs: [{name: reviews-v2, port: 80}]
  - name: beta
    matches: [{path: {type: PathPrefix, value: /a}, queryParams: [{name: beta, value: \"yes\"}]}]
    backendRefs: [{name: reviews-v2, port: 80}]
  - name: read
    matches: [{path: {type: PathPrefix, value: /a}}]
    backendRefs: [{name: reviews-v1, port: 80}, {name: reviews-v2, port: 80, weight: 0}]
  - name: moved
    matches: [{path: {type: PathPrefix, value: /old}}]
    filters:
    - type: RequestRedirect
      requestRedirect: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /new}, statusCode: 301}
  - name: missing
    matches: [{path: {type: PathPrefix, value: /missing}}]
    backendRefs: [{name: nobody, port: 80}]
  - name: weightless
    matches: [{path: {type: PathPrefix, value: /weightless}}]
    backendRefs: [{name: reviews-v1, port: 80, weight: 0}]
  - name: empty
    matches: [{path: {type: PathPrefix, value: /empty}}]
    backendRefs: [{name: idle, port: 80}]
  - name: faulty
    matches: [{path: {type: PathPrefix, value: /faulty}}]
    backendRefs: [{name: reviews-v1, port: 80}]
  - name: late
    matches: [{path: {type: PathPrefix, value: /late}}]
    timeouts: {request: 20ms}
    backendRefs: [{name: reviews-v1, port: 80}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: ours, namespace: elsewhere}
spec:
  parentRefs: [{group: \"\", kind: Service, name: reviews, namespace: default, port: 80}]
  rules:
  - matches: [{path: {type: PathPrefix, value: /a}}]
    backendRefs: [{name: reviews-v2, namespace: default, port: 80}]
---
apiVersion: v1
kind: Service
metadata: {name: idle}
spec: {selector: {app: idle}, ports: [{port: 80}]}
---
apiVersion: meshctl.dev/v1alpha1
kind: FaultPolicy
metadata: {name: broken}
spec:
  targetRefs: [{kind: Service, name: reviews}]
  from: [{identities: [ns/default/sa/web]}]
  matches: [{path: {value: /faulty}}]
  abort: {status: 418}
---
apiVersion: meshctl.dev/v1alpha1
kind: FaultPolicy
metadata: {name: slow}
spec:
  targetRefs: [{kind: Service, name: reviews}]
  matches: [{path: {value: /late}}]
  delay: {duration: 10s}
---
apiVersion: meshctl.dev/v1alpha1
kind: MeshConfig
metadata: {name: default}
spec: {outbound: RegistryOnly}
";

const PATHS: [&str; 22] = [
    "/",
    "/a",
    "/a/b",
    "/ab",
    "/b/../a",
    "/%61",
    "/a?beta=yes",
    "/a?beta=no",
    "/a?x=1&beta=%79es",
    "/exact",
    "/exact/",
    "/r7",
    "/r7/x",
    "/old/x?q=1",
    "/old",
    "/missing/x",
    "/weightless",
    "/empty",
    "/faulty",
    "/late",
    "//a//",
    "/a/%2f",
];

struct Table {
    mesh: Mesh,
    _apps: [Origin; 2],
}

fn table() -> Table {
    let apps = [Origin::saying("reviews-v1"), Origin::saying("reviews-v2")];
    let mesh = Mesh::new()
        .caller("web")
        .caller("elsewhere/web")
        .service("reviews", &apps[0])
        .version("v1")
        .service("reviews", &apps[1])
        .version("v2")
        .rules(RULES)
        .start();
    Table { mesh, _apps: apps }
}

impl Table {
    /// What a proxy would be sent.
    fn known(&self, key: &Key) -> Known {
        let path = format!("/v1/resources?kind={:?}&name={}", key.kind, key.name);
        let answer = self.mesh.read(&path);
        let Some(body) = answer["resource"]["body"].as_str() else { return Known::default() };
        let body = STANDARD.decode(body).expect("base64");
        let resource = codec::decode(key.kind, &key.name, &body).expect("a resource");
        Known { resource: Some(resource), origins: Vec::new() }
    }

    fn explained(&self, from: &str, call: &Call) -> Explanation {
        let name = self.mesh.proxy(from).name();
        let key = Key { kind: Kind::Workload, name: name.as_str().into() };
        let Some(Resource::Workload(workload)) = self.known(&key).resource else {
            panic!("{name} is a workload")
        };
        let load = Model::load(workload, call.authority(), |key| {
            Ok::<_, std::convert::Infallible>(self.known(key))
        });
        let Ok(model) = load;
        assert_eq!(model.refused(), [], "a proxy takes it all");
        let live = Live { running: true, ..Live::default() };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        explain(&model, call, &live, now)
    }

    /// Asks both and holds the one against the other.
    fn check(&self, from: &str, method: &str, url: &str, headers: &[(&str, &str)]) {
        let fields: Vec<_> =
            headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let call = Call::http(method, url, fields).expect("a request");
        let said = self.explained(from, &call);
        let host = call.authority();
        let fields: String =
            headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length = if method == "POST" { "content-length: 0\r\n" } else { "" };
        let request = format!("{method} {url} HTTP/1.1\r\nhost: {host}\r\n{fields}{length}\r\n");
        let real = self.mesh.call(from).ask(request);
        let what = format!("{from}: {method} {url} {headers:?}");
        compare(&said, &real, &what);
    }
}

fn compare(said: &Explanation, real: &Answer, what: &str) {
    let fits = said.answers.iter().any(|answer| match answer.reason {
        Some(reason) => {
            answer.status == Some(real.status)
                && real.reason() == reason
                && real.field("meshctl-rule") == answer.rule
                && real.field("location") == answer.location
        }
        None => {
            let to = answer.to.as_deref().unwrap_or_default();
            let backend = real.text();
            // The whole service is both of its versions.
            let own = to == format!("default/{backend}:80") || to == "default/reviews:80";
            real.reason().is_empty() && real.status == 200 && own
        }
    });
    assert!(fits, "{what}: {} {} {:#?}", real.head, real.text(), said);
    let passes = real.reason().is_empty();
    let outcome = match said.outcome {
        Outcome::Passes => passes,
        Outcome::Refused | Outcome::Redirected => !passes,
        Outcome::Sometimes => true,
    };
    assert!(outcome, "{what}: {:?} {}", said.outcome, real.head);
}

#[test]
fn what_is_explained_is_what_happens() {
    let table = table();
    for from in ["web", "elsewhere/web"] {
        for method in ["GET", "POST"] {
            for headers in [&[][..], &[("x-user", "ada")], &[("X-User", "bob")]] {
                for path in PATHS {
                    let host = if from == "web" { "reviews" } else { "reviews.default" };
                    table.check(from, method, &format!("http://{host}{path}"), headers);
                }
            }
        }
    }
}

#[test]
fn so_it_is_with_what_is_no_service_and_what_is_no_request() {
    let table = table();
    for url in [
        "http://reviews:81/",
        "http://reviews.default.svc.cluster.local/a",
        "http://REVIEWS./a",
        "http://nobody/",
        "http://shop.example.com/",
        "http://10.255.255.1/",
        "http://reviews-v1/anything",
        "http://idle/",
        "http://a:b:c/",
        "http://reviews/%zz",
        "http://reviews/a\\b",
    ] {
        table.check("web", "GET", url, &[]);
    }
    table.check("web", "GET", "http://reviews/a", &[("transfer-encoding", "gzip")]);
    table.check("web", "GET", "http://reviews/a", &[("expect", "miracles")]);
}

#[test]
fn an_endpoint_that_is_out_is_out_of_the_explanation_too() {
    let table = table();
    let call = Call::http("GET", "http://reviews-v1/", Vec::new()).expect("a request");
    assert_eq!(table.mesh.call("web").get("reviews-v1", "/").status, 200);
    let body = serde_json::json!({"service": "default/reviews-v1", "endpoint": "reviews-v1-0"});
    assert_eq!(table.mesh.post("/v1/endpoints/eject", &body).0, 200);
    let said = {
        use meshctl::explain::{LiveEndpoint, LivePool};
        let entry = eventually("the pool is told of", || {
            table.mesh.service("reviews-v1")?["pool"].get(0).cloned()
        });
        let text = |field: &str| entry[field].as_str().unwrap_or_default().to_owned();
        let endpoint = LiveEndpoint {
            workload: text("endpoint"),
            address: text("address"),
            state: text("state"),
            why: text("why"),
            since: text("since").parse().ok(),
            until: None,
            spared: false,
        };
        let pool = LivePool { breaker: None, endpoints: vec![endpoint] };
        let name = table.mesh.proxy("web").name();
        let key = Key { kind: Kind::Workload, name: name.as_str().into() };
        let Some(Resource::Workload(workload)) = table.known(&key).resource else { panic!() };
        let Ok(model) = Model::load(workload, call.authority(), |key| {
            Ok::<_, std::convert::Infallible>(table.known(key))
        });
        let pools = [("default/reviews-v1".parse().expect("a name"), pool)].into();
        explain(&model, &call, &Live { running: true, pools, ..Live::default() }, 0)
    };
    let real = table.mesh.call("web").get("reviews-v1", "/");
    compare(&said, &real, "with its only endpoint out");
    assert_eq!((real.status, real.reason().as_str()), (503, "no_endpoints"));
}
