//! A card as a tree of sections, before it becomes Markdown or HTML.

/// The whole card.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) title: String,
    pub(crate) lead: String,
    pub(crate) sections: Vec<Section>,
}

#[derive(Debug)]
pub(crate) struct Section {
    /// Anchor, the same in every language.
    pub(crate) id: &'static str,
    pub(crate) title: String,
    pub(crate) blocks: Vec<Block>,
}

#[derive(Debug)]
pub(crate) enum Block {
    Heading(String),
    Text(String),
    Items(Vec<String>),
    /// Labels with values.
    Facts(Vec<(String, String)>),
    Table(Table),
}

#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) header: Vec<String>,
    pub(crate) rows: Vec<Vec<Cell>>,
    /// Everything but the first column is a number.
    pub(crate) numbers: bool,
}

#[derive(Debug)]
pub(crate) enum Cell {
    Text(String),
    /// To a section of the card.
    Link {
        text: String,
        id: &'static str,
    },
}

impl Section {
    pub(crate) fn new(id: &'static str, title: String) -> Section {
        Section { id, title, blocks: Vec::new() }
    }

    pub(crate) fn text(&mut self, text: String) {
        self.blocks.push(Block::Text(text));
    }

    pub(crate) fn heading(&mut self, text: String) {
        self.blocks.push(Block::Heading(text));
    }

    pub(crate) fn facts(&mut self, facts: Vec<(String, String)>) {
        self.blocks.push(Block::Facts(facts));
    }

    /// A table; nothing where it has no row.
    pub(crate) fn table(&mut self, header: Vec<String>, rows: Vec<Vec<String>>, numbers: bool) {
        let rows = rows.into_iter().map(|row| row.into_iter().map(Cell::Text).collect()).collect();
        self.linked_table(header, rows, numbers);
    }

    pub(crate) fn linked_table(&mut self, header: Vec<String>, rows: Vec<Vec<Cell>>, numbers: bool) {
        if !rows.is_empty() {
            self.blocks.push(Block::Table(Table { header, rows, numbers }));
        }
    }
}

impl Cell {
    pub(crate) fn text(&self) -> &str {
        match self {
            Cell::Text(text) | Cell::Link { text, .. } => text,
        }
    }
}
