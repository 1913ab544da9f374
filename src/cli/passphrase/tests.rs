//! What a file says the passphrase is.

use super::*;

#[test]
fn the_first_line_is_the_passphrase_and_nothing_of_it_is_taken_away() {
    assert_eq!(
        first_line("four words  and spaces \nmore\n").as_deref(),
        Some("four words  and spaces ")
    );
    assert_eq!(first_line("windows\r\n").as_deref(), Some("windows"));
    assert_eq!(first_line("\nsecond"), None);
    assert_eq!(first_line(""), None);
}
