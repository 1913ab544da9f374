//! Tables for people, drawn by `comfy-table`: no lines, columns three spaces apart, numbers right.
//!
//! Columns marked wide appear only under `-o wide`. A row is one line: what does not fit the
//! terminal is cut with `…`, the broadest columns first. Colours are always in the text; the
//! printer takes them out where they are not wanted.

use std::sync::Once;

use comfy_table::{
    Attribute, CellAlignment, Color, ColumnConstraint, ContentArrangement, Row, presets,
};

/// Between two columns.
const GAP: u16 = 3;
/// No terminal is taken to be so narrow that a column has less than this.
const NARROWEST: usize = 4;
/// No text has it, so that a cell that is too broad is cut where it ends and not between words.
const NO_DELIMITER: char = '\u{0}';

/// One field, perhaps coloured.
#[derive(Debug, Clone)]
pub(crate) struct Cell(comfy_table::Cell);

impl Cell {
    /// Green: as it should be.
    pub(crate) fn good(text: impl Into<String>) -> Self {
        Self::styled(text, Color::DarkGreen)
    }

    /// Yellow: worth a look.
    pub(crate) fn warn(text: impl Into<String>) -> Self {
        Self::styled(text, Color::DarkYellow)
    }

    /// Red: broken.
    pub(crate) fn bad(text: impl Into<String>) -> Self {
        Self::styled(text, Color::DarkRed)
    }

    fn styled(text: impl Into<String>, color: Color) -> Self {
        let text = text.into();
        // A style around nothing would keep the spaces before it at the end of a line.
        match text.is_empty() {
            true => Self::from(text),
            false => Self(comfy_table::Cell::new_owned(text).fg(color)),
        }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self(comfy_table::Cell::new_owned(text.into()))
    }
}

/// Rows under titles.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    table: comfy_table::Table,
    /// For each column whether it is for `-o wide` only.
    wide: Vec<bool>,
}

impl Table {
    /// A table with these titles. A title that starts with `>` leans right, one with `+` is wide.
    pub(crate) fn new(titles: &[&'static str]) -> Self {
        static COLORS: Once = Once::new();
        COLORS.call_once(|| crossterm::style::force_color_output(true));
        let mut table = comfy_table::Table::new();
        let title = |title: &&str| {
            comfy_table::Cell::new(title.trim_start_matches(['>', '+']))
                .add_attribute(Attribute::Bold)
        };
        table
            .load_style(presets::NOTHING)
            .force_no_tty()
            .enforce_styling()
            .set_delimiter(NO_DELIMITER)
            .set_header(line(titles.iter().map(title)))
            .style_text_only();
        for (column, title) in table.column_iter_mut().zip(titles) {
            column.set_padding((0, GAP));
            if title.starts_with('>') {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        Self { table, wide: titles.iter().map(|title| title.starts_with('+')).collect() }
    }

    /// Adds a row, as many cells as there are titles, wide ones included.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.table.add_row(line(cells.into_iter().map(|cell| cell.0)));
    }

    /// Whether there are no rows.
    pub(crate) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// The table as text, at most `fit` characters broad where that is possible.
    pub(crate) fn render(&self, wide: bool, fit: Option<usize>) -> String {
        let mut table = self.table.clone();
        let mut shown = 0;
        let mut last = None;
        for (column, &only_wide) in table.column_iter_mut().zip(&self.wide) {
            if only_wide && !wide {
                column.set_constraint(ColumnConstraint::Hidden);
            } else {
                shown += 1;
                last = Some(column);
            }
        }
        if let Some(column) = last {
            column.set_padding((0, 0));
        }
        if let Some(fit) = fit {
            let fit = fit.max(shown * (NARROWEST + usize::from(GAP)));
            table.set_content_arrangement(ContentArrangement::Dynamic);
            table.set_width(u16::try_from(fit).unwrap_or(u16::MAX));
        }
        table.trim_fmt() + "\n"
    }
}

/// Cells as one line, however much is in them.
fn line(cells: impl Iterator<Item = comfy_table::Cell>) -> Row {
    let mut row = Row::from(cells.collect::<Vec<_>>());
    row.max_height(1);
    row
}

/// The text, or its beginning and `…`, in at most `width` characters.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    kept + "…"
}
