//! CSV as RFC 4180 has it: written for spreadsheets, read again to compare finished runs.

use super::Table;

/// A field as it stands in a file: in quotes when it holds a separator.
pub(in crate::evaluation) fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field.into() }
}

/// The rows of a table under its head.
pub(super) fn of_table(table: &Table) -> String {
    let line = |fields: Vec<&str>| fields.into_iter().map(quoted).collect::<Vec<_>>().join(",") + "\n";
    let head = line(table.head.iter().map(String::as_str).collect());
    let rows = table.rows.iter().map(|row| line(row.iter().map(|cell| cell.text.as_str()).collect()));
    std::iter::once(head).chain(rows).collect()
}

/// The fields of every row. An unfinished quote ends with the text.
pub(super) fn rows(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut field, mut is_quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if is_quoted && characters.peek() == Some(&'"') => {
                characters.next();
                field.push('"');
            }
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => row.push(std::mem::take(&mut field)),
            '\r' if !is_quoted && characters.peek() == Some(&'\n') => {}
            '\n' if !is_quoted => {
                row.push(std::mem::take(&mut field));
                rows.push(std::mem::take(&mut row));
            }
            other => field.push(other),
        }
    }
    if !row.is_empty() || !field.is_empty() {
        row.push(field);
        rows.push(row);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_with_separators_are_quoted() {
        assert_eq!(quoted("seq-01/frame"), "seq-01/frame");
        assert_eq!(quoted("a,\"b\""), "\"a,\"\"b\"\"\"");
    }

    #[test]
    fn what_was_written_is_read_again() {
        let fields = ["plain", "a,b", "say \"no\"", "two\nlines", ""];
        let text = fields.map(quoted).join(",") + "\r\n" + "1,2,3,4,5";
        assert_eq!(
            rows(&text),
            [fields.map(String::from).to_vec(), ["1", "2", "3", "4", "5"].map(String::from).to_vec()]
        );
        assert!(rows("").is_empty());
    }
}
