//! What a workload on another machine joins by, and what it is told where it cannot.

use super::*;
use crate::certs::{Authority, JoinToken, RootPin};

const HOUR: Duration = Duration::from_secs(3_600);

struct Rig {
    dir: tempfile::TempDir,
    authority: Authority,
}

impl Rig {
    fn new() -> Self {
        let mesh = "cluster.local".parse().expect("a trust domain");
        let authority = Authority::create(&mesh, SystemTime::now() - 3 * HOUR).expect("made");
        Self { dir: tempfile::tempdir().expect("a directory"), authority }
    }

    fn applicant(&self, token_file: Option<PathBuf>) -> Applicant {
        // Nobody listens on port 1, and nothing below is to get so far.
        let control_plane = "127.0.0.1:1".to_owned();
        Applicant {
            proxy: "default/web-0".parse().expect("a proxy"),
            service_account: "web".parse().expect("an account"),
            proof: Proof::Token(TokenProof::Join(Elsewhere { control_plane, token_file })),
            directory: self.dir.path().to_owned(),
        }
    }

    /// Keeps a certificate as an earlier run did.
    fn keep(&self, issued: SystemTime) {
        let identity = "spiffe://cluster.local/ns/default/sa/web".parse().expect("an identity");
        let key = PendingKey::generate().expect("a key");
        let csr = key.csr(&identity).expect("a request");
        let signed = self.authority.sign(&csr, &identity, HOUR, issued).expect("signed");
        let roots = self.authority.roots().clone();
        let credentials = key.finish(signed.chain, &roots, &identity).expect("good");
        let joined = Joined { credentials, roots, control_plane: String::new() };
        keep(&joined, self.dir.path()).expect("ours");
    }

    async fn refused(&self, token_file: Option<PathBuf>) -> JoinError {
        self.applicant(token_file).prove(None).await.expect_err("nothing to join by")
    }
}

#[tokio::test]
async fn while_the_certificate_lives_no_token_is_needed() {
    let rig = Rig::new();
    rig.keep(SystemTime::now());
    let saved = rig.applicant(None).saved(SystemTime::now()).expect("reads").expect("is valid");
    assert_eq!(saved.credentials.identity().service_account.as_str(), "web");
}

/// A mesh that was made anew, and a token of the new one: the certificate of the old is in the way.
#[tokio::test]
async fn a_token_of_another_mesh_is_worth_more_than_the_certificate() {
    let (rig, other) = (Rig::new(), Rig::new());
    rig.keep(SystemTime::now());
    let path = rig.dir.path().join("token");
    let applicant = rig.applicant(Some(path.clone()));
    let saved = applicant.saved(SystemTime::now()).expect("reads").expect("is valid");
    assert!(applicant.is_of_its_mesh(&saved).await, "the file is gone, as it may be");
    for (of, same) in [(&rig, true), (&other, false)] {
        let pin = RootPin::of(of.authority.certificate()).expect("readable");
        std::fs::write(&path, JoinToken::generate(pin).reveal()).expect("ours");
        assert_eq!(applicant.is_of_its_mesh(&saved).await, same);
    }
}

#[tokio::test]
async fn without_certificate_and_token_it_is_said_which_is_missing() {
    let rig = Rig::new();
    assert!(matches!(rig.refused(None).await, JoinError::Nothing));
    rig.keep(SystemTime::now() - 2 * HOUR);
    assert!(rig.applicant(None).saved(SystemTime::now()).expect("reads").is_none());
    let expired = rig.refused(None).await;
    assert!(matches!(expired, JoinError::Expired), "{expired:?}");
    assert!(!expired.is_transient(), "waiting does not help");
    assert_eq!(
        expired.to_string(),
        "the certificate of this proxy has expired, and there is no token to get another by"
    );
}

#[tokio::test]
async fn a_file_that_is_not_there_or_holds_no_token_is_named() {
    let rig = Rig::new();
    let path = rig.dir.path().join("token");
    let absent = rig.refused(Some(path.clone())).await;
    assert!(absent.is_transient(), "it may come: {absent:?}");
    std::fs::write(&path, "meshctl1.00.00.00\n").expect("ours");
    let wrong = rig.refused(Some(path.clone())).await;
    assert!(matches!(&wrong, JoinError::NoToken(named, _) if *named == path), "{wrong:?}");
    let pin = RootPin::of(rig.authority.certificate()).expect("readable");
    std::fs::write(&path, JoinToken::generate(pin).reveal() + "\n").expect("ours");
    let away = rig.refused(Some(path)).await;
    assert!(matches!(away, JoinError::Away(..)), "it is one, and nobody listens: {away:?}");
}
