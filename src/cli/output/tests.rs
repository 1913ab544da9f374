//! Tables fit, numbers lean right, ages read well.

use jiff::Timestamp;

use super::*;

fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

fn sample() -> Table {
    let mut table = Table::new(&["NAME", ">RATE", "+IDENTITY", "REASON"]);
    table.row([
        "reviews".into(),
        "12.5".into(),
        "spiffe://x".into(),
        Cell::bad("no endpoint is left"),
    ]);
    table.row(["w".into(), "3".into(), "".into(), "".into()]);
    table
}

#[test]
fn columns_align_and_wide_ones_wait_for_wide() {
    let narrow = plain(&sample().render(false, None));
    assert_eq!(
        narrow,
        "NAME      RATE   REASON\nreviews   12.5   no endpoint is left\nw            3\n"
    );
    assert!(plain(&sample().render(true, None)).contains("IDENTITY"));
}

#[test]
fn a_table_fits_the_terminal_by_cutting_its_broadest_column() {
    let text = plain(&sample().render(false, Some(30)));
    assert!(text.lines().all(|line| line.chars().count() <= 30), "{text}");
    assert!(text.contains("reviews   12.5   no endpoint …"), "{text}");
    let text = plain(&sample().render(false, Some(5)));
    assert!(text.lines().all(|line| line.chars().count() <= 21), "{text}");
    assert!(text.contains("12.5"), "what is narrow is left: {text}");
}

#[test]
fn a_row_is_one_line_without_spaces_at_its_end_styled_or_not() {
    let mut table = sample();
    table.row(["two\nlines".into(), Cell::good(""), "".into(), Cell::warn("")]);
    for fit in [None, Some(30), Some(80)] {
        let styled = table.render(true, fit);
        assert!(styled.contains('\u{1b}'), "styled whatever the environment says");
        let text = plain(&styled);
        assert_eq!(text.lines().count(), 4, "{text}");
        assert!(text.lines().all(|line| line.trim_end() == line), "{text:?}");
        assert!(text.ends_with('\n'));
    }
}

#[test]
fn ages_keep_the_units_worth_reading() {
    let at = |seconds| Timestamp::from_second(seconds).expect("small");
    let table = [
        (0, "0s"),
        (119, "119s"),
        (190, "3m10s"),
        (240, "4m"),
        (7260, "2h1m"),
        (90_000, "25h"),
        (86_400 * 12, "12d"),
        (86_400 * 3650, "10y"),
    ];
    for (seconds, expected) in table {
        assert_eq!(age(at(0), at(seconds)), expected);
        let left = if seconds == 0 { "expired" } else { expected };
        assert_eq!(until(at(seconds), at(0)), left);
    }
    assert_eq!(age(at(60), at(0)), "0s");
}

#[test]
fn milliseconds_have_as_many_digits_as_are_worth_reading() {
    let shown = [None, Some(0.84), Some(42.4), Some(12_345.0)].map(milliseconds);
    assert_eq!(shown, ["-", "0.8ms", "42ms", "12.3s"]);
}

#[test]
fn a_view_has_every_form() {
    let view = View {
        value: serde_json::json!({"kind": "List", "items": []}),
        lead: vec!["hello".into()],
        tables: vec![sample(), Table::new(&["EMPTY"])],
        names: vec!["service/a".into(), "service/b".into()],
        empty: String::new(),
    };
    let form = |format| plain(&render(format, &view, None).expect("renders"));
    assert_eq!(form(Format::Name), "service/a\nservice/b\n");
    assert_eq!(form(Format::Json), "{\n  \"kind\": \"List\",\n  \"items\": []\n}\n");
    assert_eq!(form(Format::Yaml), "kind: List\nitems: []\n");
    assert!(form(Format::Table).starts_with("hello\n\nNAME"), "{}", form(Format::Table));
    assert!(!form(Format::Table).contains("EMPTY"));
}
