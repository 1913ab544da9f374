//! The flags of `proxy capture`.

use super::user::numbered;
use super::*;

#[test]
fn a_port_and_a_network_are_what_they_say() {
    assert_eq!((port("80"), port(" 65535")), (Ok(80), Ok(65_535)));
    for wrong in ["", "0", "65536", "-1", "http", "80-90"] {
        assert!(port(wrong).is_err(), "{wrong}");
    }
    assert_eq!(network("10.0.0.0/8").map(|net| net.to_string()), Ok("10.0.0.0/8".to_owned()));
    assert_eq!(network("fd00::1").map(|net| net.to_string()), Ok("fd00::1/128".to_owned()));
    for wrong in ["", "10.0.0.0/33", "10.0.0", "db.example"] {
        assert!(network(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_user_is_found_by_name() {
    let users = "root:x:0:0:root:/:/bin/sh\nbroken\napp:x:1001:1001::/srv:/bin/false\n";
    assert_eq!((numbered(users, "app"), numbered(users, "root")), (Some(1_001), Some(0)));
    assert_eq!((numbered(users, "broken"), numbered(users, "x")), (None, None));
}
