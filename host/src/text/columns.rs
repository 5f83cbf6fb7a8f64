//! Tables of reports.

use comfy_table::{CellAlignment, Table, presets::NOTHING};

/// The lines of a table: the first column is aligned left, the others right, with two blanks between them.
pub(crate) fn columns<R: IntoIterator<Item = String>>(rows: impl IntoIterator<Item = R>) -> Vec<String> {
    let mut table = Table::new();
    table.load_style(NOTHING);
    for row in rows {
        table.add_row(row);
    }
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_padding((if at == 0 { 0 } else { 2 }, 0));
        if at > 0 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_on_a_terminal() {
        let rows = [["", "done", "x"], ["  a", "1", "é"], ["名前", "20", ""]];
        let lines = columns(rows.map(|row| row.map(str::to_owned)));
        assert_eq!(lines, ["      done  x", "  a      1  é", "名前    20"]);
    }
}
