//! What the parts of a mesh on Kubernetes agree on by name: ports, user, labels, annotations.
//!
//! Injection writes them into pods, capture into the kernel, the proxy listens on them, the control
//! plane and `check` look for them. Everything of ours is under `meshctl.dev`.

/// The user (and group) that a sidecar runs as; no application may.
pub const SIDECAR_UID: u32 = 14_700;

/// Where captured inbound connections arrive, on every address of the pod.
pub const INBOUND_PORT: u16 = 14_706;

/// Where captured outbound connections arrive, on every address of the pod.
pub const OUTBOUND_PORT: u16 = 14_701;

/// Where the kubelet asks: the sidecar's own readiness, and the application's rewritten probes and
/// lifecycle handlers. On the pod's address, never captured.
pub const PROBE_PORT: u16 = 14_721;

/// The sidecar's admin server, on loopback.
pub const ADMIN_PORT: u16 = 14_700;

/// Where the control plane serves proxies: joining, discovery, agent streams.
pub const CONTROL_PORT: u16 = 14_712;

/// Where the control plane serves the command line, over TLS with a token.
pub const API_PORT: u16 = 14_714;

/// Where the control plane serves the API server's webhooks.
pub const WEBHOOK_PORT: u16 = 14_717;

/// Where the control plane serves its health and, for Prometheus, the mesh's metrics; plain HTTP.
pub const METRICS_PORT: u16 = 14_715;

/// The name of the control plane's Deployment, Services, ServiceAccount and field manager.
pub const CONTROL_PLANE: &str = "meshctl";

/// How the control plane signs its part of the status of a route (Gateway API `controllerName`).
pub const CONTROLLER_NAME: &str = "meshctl.dev/control-plane";

/// The audience of service-account tokens that are meant for the control plane.
pub const AUDIENCE: &str = "meshctl";

/// On a namespace or pod: `enabled` or `disabled`.
pub const INJECT_LABEL: &str = "meshctl.dev/inject";

/// The label of a workload that says its share of a service's calls: 1 to 100 000, 1 where it is not
/// there.
pub const WEIGHT_LABEL: &str = "meshctl.dev/weight";

/// The label of a workload or of a node that says its zone (Kubernetes, "Well-Known Labels").
pub const ZONE_LABEL: &str = "topology.kubernetes.io/zone";

/// What labels and annotations of ours begin with.
pub const PREFIX: &str = "meshctl.dev/";

/// On an injected pod: the version that injected it.
pub const INJECTED_ANNOTATION: &str = "meshctl.dev/injected";

/// The sidecar's container.
pub const SIDECAR_CONTAINER: &str = "meshctl-proxy";

/// The init container that programs the capture.
pub const CAPTURE_CONTAINER: &str = "meshctl-capture";

/// The ConfigMap in every namespace that holds the mesh's roots, under [`ROOT_KEY`], PEM.
pub const ROOT_CONFIG_MAP: &str = "meshctl-root";

/// The key in [`ROOT_CONFIG_MAP`].
pub const ROOT_KEY: &str = "root.pem";

/// The Secret in the control plane's namespace that holds the authority.
pub const AUTHORITY_SECRET: &str = "meshctl-ca";

/// The service account that may look at the mesh.
pub const VIEWER: &str = "meshctl-viewer";

/// The service account that may also change what is not a Kubernetes object.
pub const OPERATOR: &str = "meshctl-operator";

/// The Service through which the API server calls the control plane's webhooks.
pub const WEBHOOK_SERVICE: &str = "meshctl-webhook";

/// Where the binary lies in our image.
pub const PROGRAM: &str = "/usr/local/bin/meshctl";

/// On an injected pod: the network probes and lifecycle handlers as they were, JSON by
/// `CONTAINER/readiness`.
pub const PROBES_ANNOTATION: &str = "meshctl.dev/probes";

/// On a pod injected as text: what stood where something was replaced, JSON, for `uninject`.
pub const SOURCE_ANNOTATION: &str = "meshctl.dev/source";

/// What of the sidecar's environment holds the application's probes, JSON by
/// `CONTAINER/readiness`, ports as numbers.
pub const PROBES_ENV: &str = "MESHCTL_PROBES";

/// The volume with the sidecar's token, where it is mounted, and the file in it.
pub const TOKEN_VOLUME: &str = "meshctl-token";
/// See [`TOKEN_VOLUME`].
pub const TOKEN_DIR: &str = "/var/run/secrets/meshctl/token";
/// See [`TOKEN_VOLUME`].
pub const TOKEN_FILE: &str = "token";

/// The volume with the mesh's roots, and where it is mounted.
pub const ROOT_VOLUME: &str = "meshctl-root";
/// See [`ROOT_VOLUME`].
pub const ROOT_DIR: &str = "/var/run/meshctl/root";

/// The volume in memory with what the sidecar keeps, and where it is mounted.
pub const HOME_VOLUME: &str = "meshctl-home";
/// See [`HOME_VOLUME`].
pub const HOME_DIR: &str = "/var/lib/meshctl";
