//! Sections of keys and values for people, as `describe` has them.

use crate::control::api::shapes::Section;

/// Sections that are written one after the other.
#[derive(Debug, Default)]
pub(super) struct Sections(Vec<Section>);

impl Sections {
    /// A section; nothing where it has no lines.
    pub(super) fn add(&mut self, heading: &str, lines: Vec<(String, String)>) {
        if !lines.is_empty() {
            self.0.push(Section { heading: heading.to_owned(), lines });
        }
    }

    /// All of them, under a title.
    pub(super) fn render(self, title: String) -> String {
        use crate::cli::describe::text;
        use crate::control::api::shapes::Description;
        text(&Description { title, sections: self.0 })
    }
}

/// A line.
pub(super) fn line(key: impl Into<String>, value: impl Into<String>) -> (String, String) {
    (key.into(), value.into())
}
