//! A whole control plane of one machine in a test, without any socket.

use super::*;
use crate::control::home::Home;
use crate::control::identity::JoinTokens;
use crate::control::joins::Joins;
use crate::control::store::Opened;

/// The plane, its hub, which runs when the test says so, and the home that they lie in.
pub(in crate::control) struct Bed {
    pub(in crate::control) plane: Arc<Plane>,
    pub(in crate::control) owner: hub::Owner,
    pub(in crate::control) home: Home,
    /// Where the home lies, for as long as this is held.
    pub(in crate::control) dir: tempfile::TempDir,
}

impl Bed {
    pub(in crate::control) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let home = Home::new(dir.path().join("home"));
        home.prepare().expect("prepared");
        let trust_domain: TrustDomain = DEFAULT_TRUST_DOMAIN.parse().expect("valid");
        let authority = Authority::create(&trust_domain, SystemTime::now()).expect("an authority");
        let opened = Store::open_sqlite(&home.store(), &trust_domain).expect("a store");
        let Opened { store, contents, commits, .. } = opened;
        let joins = Joins::open(&home.joins()).expect("no tokens");
        let ground = Ground::Local(JoinTokens::new(joins));
        let address = "127.0.0.1:1".to_owned();
        let parts = Parts { authority, ground, address, store, contents, commits };
        let stop = CancellationToken::new();
        let (plane, owner) = assemble(parts, Arc::default(), stop).expect("a certificate");
        Self { plane, owner, home, dir }
    }
}

/// One sleep to the end counted no suspended hour, and the certificate was over when it was renewed.
#[test]
fn a_moment_is_not_slept_through_where_the_machine_is_suspended() {
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_900_000_000);
    let moment = start + Duration::from_secs(12 * 3_600);
    assert_eq!(nap(moment, start), Some(LOOK));
    let last = Duration::from_secs(7);
    assert_eq!(nap(moment, moment - last), Some(last));
    assert_eq!(nap(moment, moment), None);
    assert_eq!(nap(moment, moment + Duration::from_secs(24 * 3_600)), None, "it woke late");
}
