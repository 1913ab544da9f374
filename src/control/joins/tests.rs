//! Which proofs are taken, that none is taken twice, and what a restart remembers.

use jiff::SignedDuration;
use rustls::pki_types::CertificateDer;

use super::ledger::{REMEMBERED, TOKENS_MAX};
use super::*;
use crate::certs::Authority;

const HOUR: SignedDuration = SignedDuration::from_hours(1);

fn now() -> Timestamp {
    Timestamp::from_second(1_900_000_000).expect("a moment")
}

fn root() -> RootPin {
    let made = Authority::create(&"cluster.local".parse().expect("valid"), now().into());
    RootPin::of(made.expect("an authority").certificate()).expect("readable")
}

fn wanted(account: &str) -> Wanted {
    Wanted {
        namespace: "default".parse().expect("valid"),
        service: "reviews".parse().expect("valid"),
        service_account: account.parse().expect("valid"),
        expires: now() + HOUR,
    }
}

fn claim(namespace: &str, account: &str) -> Claim {
    let identity = format!("spiffe://cluster.local/ns/{namespace}/sa/{account}");
    Claim {
        identity: identity.parse().expect("an identity"),
        proxy: format!("{namespace}/reviews-0").parse().expect("a proxy"),
        from: "192.0.2.7".parse().ok(),
    }
}

struct Rig {
    dir: tempfile::TempDir,
    joins: Joins,
}

impl Rig {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let joins = Joins::open(&dir.path().join("joins.json")).expect("nothing is there");
        Self { dir, joins }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("joins.json")
    }

    fn token(&self) -> JoinToken {
        self.joins.create(wanted("reviews"), root(), now()).expect("room").0
    }

    fn why(&self, proof: &str, claim: &Claim, at: Timestamp) -> &'static str {
        match self.joins.spend(proof, claim, at) {
            Err(Refused::Proof(why)) => why,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_token_is_good_once_for_what_it_was_made() {
    let rig = Rig::new();
    let (proof, own) = (rig.token().proof(), claim("default", "reviews"));
    let later = now() + HOUR;
    assert_eq!(rig.why(&proof, &claim("shop", "reviews"), now()), "it is for another namespace");
    assert_eq!(
        rig.why(&proof, &claim("default", "ratings"), now()),
        "it is for another service account"
    );
    assert_eq!(rig.why(&proof, &own, later), "it has expired");
    rig.joins.spend(&proof, &own, later - SignedDuration::from_secs(1)).expect("good");
    assert_eq!(rig.why(&proof, &own, now()), "it was used before");
    let spent = rig.joins.list().first().and_then(|kept| kept.spent.clone()).expect("noted");
    assert_eq!((spent.proxy.as_str(), spent.from.as_str()), ("default/reviews-0", "192.0.2.7"));
}

#[test]
fn no_text_that_is_nearly_a_token_is_one() {
    let rig = Rig::new();
    let (token, own) = (rig.token(), claim("default", "reviews"));
    let proof = token.proof();
    for at in 0..proof.len() {
        for bit in 0..7 {
            let mut bent = proof.clone().into_bytes();
            *bent.get_mut(at).expect("inside") ^= 1 << bit;
            let bent = String::from_utf8(bent).expect("ASCII");
            rig.why(&bent, &own, now());
        }
    }
    for odd in
        ["", ".", "a", &proof[1..], &format!("{proof}0"), &format!(" {proof}"), &token.reveal()]
    {
        rig.why(odd, &own, now());
    }
    assert_eq!(token.reveal().parse(), Ok(token.clone()));
    rig.joins.spend(&proof, &own, now()).expect("the right one is good still");
}

#[test]
fn what_was_spent_stays_spent_over_a_restart_and_no_secret_is_on_the_disk() {
    let rig = Rig::new();
    let (used, left) = (rig.token(), rig.token());
    let own = claim("default", "reviews");
    rig.joins.spend(&used.proof(), &own, now()).expect("good");
    let text = std::fs::read_to_string(rig.path()).expect("written");
    for token in [&used, &left] {
        let secret = token.proof();
        let (_, secret) = secret.split_once('.').expect("two parts");
        assert!(text.contains(&token.id.to_string()) && !text.contains(secret));
    }
    let again = Rig { joins: Joins::open(&rig.path()).expect("reads"), dir: rig.dir };
    assert_eq!(again.why(&used.proof(), &own, now()), "it was used before");
    let services = again.joins.bound(&own.identity).expect("it has joined");
    assert_eq!(services, ["reviews".parse().expect("valid")]);
    assert_eq!(again.joins.bound(&claim("default", "web").identity), None);
    again.joins.spend(&left.proof(), &own, now()).expect("good");
}

#[test]
fn a_token_that_cannot_be_spent_on_the_disk_is_not_spent() {
    let rig = Rig::new();
    let (proof, own) = (rig.token().proof(), claim("default", "reviews"));
    let aside = rig.dir.path().with_extension("aside");
    std::fs::rename(rig.dir.path(), &aside).expect("moved");
    let failed = rig.joins.spend(&proof, &own, now());
    assert!(matches!(failed, Err(Refused::NotWritten(JoinsError::Write(..)))), "{failed:?}");
    std::fs::rename(&aside, rig.dir.path()).expect("moved back");
    rig.joins.spend(&proof, &own, now()).expect("it can be shown again");
}

#[test]
fn two_at_once_do_not_both_get_in() {
    let rig = Rig::new();
    let (proof, own) = (rig.token().proof(), claim("default", "reviews"));
    let taken: usize = std::thread::scope(|scope| {
        let tries = [(); 4].map(|()| scope.spawn(|| rig.joins.spend(&proof, &own, now()).is_ok()));
        tries.into_iter().map(|it| usize::from(it.join().expect("no panic"))).sum()
    });
    assert_eq!(taken, 1);
}

#[test]
fn what_is_taken_back_is_good_for_nothing_and_what_is_used_cannot_be() {
    let rig = Rig::new();
    let (token, used, own) = (rig.token(), rig.token(), claim("default", "reviews"));
    rig.joins.spend(&used.proof(), &own, now()).expect("good");
    rig.joins.revoke(token.id).expect("not used yet");
    assert_eq!(rig.why(&token.proof(), &own, now()), "there is no token of that id");
    for (id, words) in
        [(token.id, "there is no token"), (used.id, "was used by `default/reviews-0`")]
    {
        let refused = rig.joins.revoke(id).expect_err("nothing to take back").to_string();
        assert!(refused.contains(words), "{refused}");
    }
}

#[test]
fn tokens_are_bounded_and_old_ones_make_room() {
    let rig = Rig::new();
    let mut ledger = Ledger::default();
    let pin = root();
    for _ in 0..TOKENS_MAX {
        ledger.add(&JoinToken::generate(pin), wanted("reviews"), now()).expect("room");
    }
    assert_eq!(ledger.add(&JoinToken::generate(pin), wanted("reviews"), now()), Err(Full));
    let later = now() + HOUR + REMEMBERED;
    ledger.add(&JoinToken::generate(pin), wanted("reviews"), later).expect("room again");
    assert_eq!(ledger.list().len(), 1);
    drop(rig);
}

#[test]
fn a_changed_file_is_refused_with_the_remedy() {
    use std::os::unix::fs::PermissionsExt as _;
    let rig = Rig::new();
    rig.token();
    let text = std::fs::read_to_string(rig.path()).expect("written");
    std::fs::write(rig.path(), text.replace("reviews", "ratings")).expect("changed");
    let refused = Joins::open(&rig.path()).expect_err("changed").to_string();
    assert!(
        refused.contains("joins.json` is damaged") && refused.contains("remove it"),
        "{refused}"
    );
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(rig.path(), open).expect("ours");
    let refused = Joins::open(&rig.path()).expect_err("others may read it").to_string();
    assert!(refused.contains("chmod 600"), "{refused}");
}

#[test]
fn a_root_is_known_by_its_key() {
    let authority = Authority::create(&"cluster.local".parse().expect("valid"), now().into());
    let authority = authority.expect("an authority");
    let pin = RootPin::of(authority.certificate());
    assert!(pin.is_some() && pin != Some(root()));
    assert_eq!(RootPin::of(&CertificateDer::from(vec![0; 30])), None);
}
