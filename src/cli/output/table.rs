//! Tables for people: aligned columns, three spaces between them, cut with `…` to fit a terminal.
//!
//! Numbers lean right. Columns marked wide appear only under `-o wide`. When a table is broader
//! than the terminal the broadest columns give way first. Widths are counted in characters.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

/// Between two columns.
const GAP: usize = 3;
/// A column is not cut below this.
const NARROWEST: usize = 8;

/// One field, perhaps coloured.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// Green: as it should be.
    pub(crate) fn good(text: impl Into<String>) -> Self {
        Self { text: text.into(), style: AnsiColor::Green.on_default() }
    }

    /// Yellow: worth a look.
    pub(crate) fn warn(text: impl Into<String>) -> Self {
        Self { text: text.into(), style: AnsiColor::Yellow.on_default() }
    }

    /// Red: broken.
    pub(crate) fn bad(text: impl Into<String>) -> Self {
        Self { text: text.into(), style: AnsiColor::Red.on_default() }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), style: Style::new() }
    }
}

#[derive(Debug, Clone)]
struct Column {
    title: &'static str,
    wide: bool,
    right: bool,
}

/// Rows under titles.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table with these titles. A title that starts with `>` leans right, one with `+` is wide.
    pub(crate) fn new(titles: &[&'static str]) -> Self {
        let column = |title: &&'static str| match (title.strip_prefix('>'), title.strip_prefix('+'))
        {
            (Some(title), _) => Column { title, wide: false, right: true },
            (_, Some(title)) => Column { title, wide: true, right: false },
            _ => Column { title, wide: false, right: false },
        };
        Self { columns: titles.iter().map(column).collect(), rows: Vec::new() }
    }

    /// Adds a row, as many cells as there are titles, wide ones included.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Whether there are no rows.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as text, at most `fit` characters broad where that is possible.
    pub(crate) fn render(&self, wide: bool, fit: Option<usize>) -> String {
        let shown = |column: &Column| wide || !column.wide;
        let columns: Vec<&Column> = self.columns.iter().filter(|c| shown(c)).collect();
        let rows: Vec<Vec<&Cell>> = self
            .rows
            .iter()
            .map(|row| {
                let pairs = row.iter().zip(&self.columns);
                pairs.filter(|(_, column)| shown(column)).map(|(cell, _)| cell).collect()
            })
            .collect();
        let mut widths: Vec<usize> = columns.iter().map(|c| c.title.chars().count()).collect();
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.text.chars().count());
            }
        }
        if let Some(fit) = fit {
            shrink(&mut widths, fit.saturating_sub(GAP * columns.len().saturating_sub(1)));
        }
        let titles: Vec<Cell> = columns
            .iter()
            .map(|c| Cell { text: c.title.to_owned(), style: Style::new().bold() })
            .collect();
        let mut text = String::new();
        line(&mut text, &columns, &widths, &titles.iter().collect::<Vec<_>>());
        for row in &rows {
            line(&mut text, &columns, &widths, row);
        }
        text
    }
}

/// Takes from the broadest column, one by one, until the sum fits or none can give.
fn shrink(widths: &mut [usize], fit: usize) {
    while widths.iter().sum::<usize>() > fit {
        match widths.iter_mut().filter(|width| **width > NARROWEST).max() {
            Some(width) => *width -= 1,
            None => return,
        }
    }
}

fn line(text: &mut String, columns: &[&Column], widths: &[usize], cells: &[&Cell]) {
    let last = cells.len().saturating_sub(1);
    for (index, ((column, &width), cell)) in columns.iter().zip(widths).zip(cells).enumerate() {
        let shown = cut(&cell.text, width);
        let pad = width - shown.chars().count();
        let (before, after) = if column.right { (pad, 0) } else { (0, pad) };
        let after = if index == last { 0 } else { after + GAP };
        let style = cell.style;
        let _ = write!(text, "{:before$}{style}{shown}{style:#}{:after$}", "", "");
    }
    let kept = text.trim_end_matches(' ').len();
    text.truncate(kept);
    text.push('\n');
}

/// The text, or its beginning and `…`, in at most `width` characters.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    kept + "…"
}
