//! What is hashed of a request, and the cookie that is made.

use std::borrow::Cow;
use std::time::Duration;

use super::*;
use crate::resource::Scheme;

struct Fake(&'static [(&'static str, &'static str)]);

impl Head for Fake {
    fn method(&self) -> &str {
        "GET"
    }
    fn path(&self) -> &str {
        "/"
    }
    fn query(&self) -> Option<&str> {
        None
    }
    fn scheme(&self) -> Scheme {
        Scheme::Http
    }
    fn authority(&self) -> &str {
        "web"
    }
    fn header(&self, name: &str) -> Option<&[u8]> {
        let found = self.0.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.as_bytes())
    }
    fn header_joined(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.header(name).map(Cow::Borrowed)
    }
}

fn balancer(algorithm: Algorithm, hash_on: Option<HashOn>) -> LoadBalancer {
    LoadBalancer { algorithm, hash_on, ..LoadBalancer::default() }
}

fn of(on: Option<HashOn>, fields: &'static [(&'static str, &'static str)]) -> Bond {
    let source = "default/web-1".parse().unwrap();
    Affinity::of(&balancer(Algorithm::RingHash, on), &Fake(fields), &source)
}

fn cookie() -> HashOn {
    let ttl = Some(Duration::from_secs(3600));
    HashOn::Cookie(HashCookie { name: "stay".into(), path: "/shop".into(), ttl })
}

#[test]
fn only_the_consistent_ones_hash() {
    let source = "default/web-1".parse().unwrap();
    for algorithm in Algorithm::ALL {
        let consistent = matches!(algorithm, Algorithm::RingHash | Algorithm::Maglev);
        let own = balancer(algorithm, None);
        assert_eq!(Affinity::of(&own, &Fake(&[]), &source).is_some(), consistent);
        assert_eq!(Affinity::unread(&own, &source).is_some(), consistent);
        let own = balancer(algorithm, Some(cookie()));
        assert_eq!(Affinity::of(&own, &Fake(&[]), &source).is_some(), consistent);
        assert!(Affinity::unread(&own, &source).is_none(), "bytes have no cookie");
    }
}

#[test]
fn a_header_is_hashed_and_without_it_the_choice_is_free() {
    let on = || Some(HashOn::Header("x-user".into()));
    let [one, same, other] = [
        of(on(), &[("x-user", "ann")]),
        of(on(), &[("x-user", "ann"), ("x-more", "1")]),
        of(on(), &[("x-user", "bob")]),
    ]
    .map(|bond| bond.map(|bond| bond.hash));
    assert!(one.is_some() && one == same && one != other);
    assert!(of(on(), &[]).is_none());
}

#[test]
fn the_source_is_the_calling_workload() {
    let [one, other] = ["default/web-1", "default/web-2"].map(|source| {
        let source = source.parse().unwrap();
        Affinity::unread(&balancer(Algorithm::Maglev, None), &source).unwrap().hash
    });
    assert_ne!(one, other);
    assert_eq!(of(Some(HashOn::SourceIp), &[]).unwrap().hash, of(None, &[]).unwrap().hash);
}

#[test]
fn a_cookie_is_made_once_and_leads_back() {
    let made = of(Some(cookie()), &[("cookie", "other=1; stayed=2; stay=")]).unwrap();
    let edit = made.cookie.unwrap();
    let [field] = edit.add.as_slice() else { panic!("one field: {edit:?}") };
    assert_eq!(field.name, "set-cookie");
    let (value, attributes) = field.value.split_once("; ").unwrap();
    assert_eq!(attributes, "Path=/shop; Max-Age=3600; HttpOnly");
    let sent: &'static str = format!("a=b; {value};c=d").leak();
    let back = of(Some(cookie()), vec![("cookie", sent)].leak()).unwrap();
    assert_eq!(back.hash, made.hash);
    assert!(back.cookie.is_none(), "the client has it already");
    let another = of(Some(cookie()), &[]).unwrap();
    assert_ne!(another.hash, made.hash);
}

#[test]
fn the_hash_is_the_same_in_every_version() {
    // Proxies of two versions run side by side; a key must not move between them.
    assert_eq!(hash::of(b""), 0xe220_a839_7b1d_cdaf);
    assert_eq!(hash::nth(0, 1), hash::mix(0x9e37_79b9_7f4a_7c15));
    assert_eq!(hash::of(b"a user's name"), hash::of(b"a user's name"));
    assert_ne!(hash::of(b"ab"), hash::of(b"ab\0"), "the length counts");
}
