//! What is counted is what is read, from buckets to text. One file per part.

mod counting;
mod histogram;
mod limits;
mod logging;
mod prometheus;
mod span;

use proptest::prelude::*;

use super::{LONGEST_VALUE, escape};

#[test]
fn values_from_the_network_cannot_begin_a_line_or_drive_a_terminal() {
    assert_eq!(escape(b"/reviews/1?x=y"), "/reviews/1?x=y");
    assert_eq!(escape(b"a\nlevel=error"), "a\\nlevel=error");
    assert_eq!(escape(b"\x1b[2J"), "\\x1b[2J");
    assert_eq!(escape(b"\"\\"), "\\\"\\\\");
    assert_eq!(escape("grün".as_bytes()), "gr\\xc3\\xbcn");
    let cut = escape(&[b'a'; 8_192]).into_owned();
    assert_eq!(cut.len(), LONGEST_VALUE);
    assert!(cut.ends_with("..."));
}

proptest! {
    #[test]
    fn escaped_values_are_short_printable_ascii(value in prop::collection::vec(any::<u8>(), 0..2_000)) {
        let escaped = escape(&value);
        prop_assert!(escaped.len() <= LONGEST_VALUE);
        prop_assert!(escaped.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
    }
}
