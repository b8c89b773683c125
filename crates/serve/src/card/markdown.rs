//! The card as Markdown (CommonMark with GitHub's tables).

use super::document::{Block, Cell, Document, Table};

pub(super) fn write(document: &Document) -> String {
    let mut out = format!("# {}\n\n{}\n", escape(&document.title), escape(&document.lead));
    for section in &document.sections {
        out += &format!("\n<a id=\"{}\"></a>\n\n## {}\n", section.id, escape(&section.title));
        for block in &section.blocks {
            out.push('\n');
            match block {
                Block::Heading(text) => out += &format!("### {}\n", escape(text)),
                Block::Text(text) => out += &format!("{}\n", escape(text)),
                Block::Items(items) => items.iter().for_each(|item| out += &format!("- {}\n", escape(item))),
                Block::Facts(facts) => {
                    facts.iter().for_each(|(label, value)| {
                        out += &format!("- **{}**: {}\n", escape(label), escape(value));
                    });
                }
                Block::Table(of) => out += &table(of),
            }
        }
    }
    out
}

fn table(table: &Table) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let rule = |column: usize| if table.numbers && column > 0 { "---:" } else { "---" }.to_owned();
    let mut out = line(table.header.iter().map(|cell| escape(cell)).collect());
    out += &line((0..table.header.len()).map(rule).collect());
    for row in &table.rows {
        let cell = |cell: &Cell| match cell {
            Cell::Text(text) => escape(text),
            Cell::Link { text, id } => format!("[{}](#{id})", escape(text)),
        };
        out += &line(row.iter().map(cell).collect());
    }
    out
}

/// Text that means what it says, whatever a study or a source is called.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\r' => out.push(' '),
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '#' => {
                out.push('\\');
                out.push(character);
            }
            character => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::card::document::Section;

    #[test]
    fn text_stays_text_and_tables_stay_in_their_columns() {
        let mut section = Section::new("data", "Data | <b>".to_owned());
        section.text("one\ntwo *three*".to_owned());
        section.facts(vec![("label".to_owned(), "a_b".to_owned())]);
        let link = Cell::Link { text: "there".to_owned(), id: "data" };
        let header = ["source", "n"].map(str::to_owned).to_vec();
        section.linked_table(header, vec![vec![Cell::Text("a|b".to_owned()), link]], true);
        section.table(Vec::new(), Vec::new(), false);
        let document = Document { title: "m".to_owned(), lead: "l".to_owned(), sections: vec![section] };
        let expected = "# m\n\nl\n\n<a id=\"data\"></a>\n\n## Data \\| \\<b\\>\n\none two \\*three\\*\n\n- **label**: a\\_b\n\n\
                        | source | n |\n| --- | ---: |\n| a\\|b | [there](#data) |\n";
        assert_eq!(write(&document), expected);
    }
}
