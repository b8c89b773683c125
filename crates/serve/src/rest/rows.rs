//! The rows of a batch, cut out of its body one by one without a copy.

use bytes::Bytes;

/// How a batch lists its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// One JSON array; the body is known to be well-formed JSON that begins with `[`.
    Array,
    /// One JSON document a line; blank lines are passed over.
    Lines,
}

/// The rows that are still to be read.
pub(crate) struct Rows {
    body: Bytes,
    at: usize,
    layout: Layout,
}

impl Rows {
    pub(crate) fn new(body: Bytes, layout: Layout) -> Rows {
        let at = match layout {
            Layout::Array => body.iter().position(|&byte| byte == b'[').map_or(body.len(), |at| at + 1),
            Layout::Lines => 0,
        };
        Rows { body, at, layout }
    }

    fn skip(&mut self, skipped: impl Fn(u8) -> bool) {
        let rest = &self.body[self.at..];
        self.at += rest.iter().position(|&byte| !skipped(byte)).unwrap_or(rest.len());
    }

    /// Where the value that begins here ends: at the comma or bracket after it, outside texts.
    fn value_end(&self) -> usize {
        let (mut depth, mut text, mut escaped) = (0_usize, false, false);
        for (at, &byte) in self.body.iter().enumerate().skip(self.at) {
            if text {
                match byte {
                    _ if escaped => escaped = false,
                    b'\\' => escaped = true,
                    b'"' => text = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => text = true,
                b'{' | b'[' => depth += 1,
                b',' | b']' if depth == 0 => return at,
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        self.body.len()
    }
}

impl Iterator for Rows {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        match self.layout {
            Layout::Array => self.skip(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b',')),
            Layout::Lines => self.skip(|byte| byte.is_ascii_whitespace()),
        }
        let end = match self.layout {
            Layout::Array => match self.body.get(self.at) {
                None | Some(b']') => return None,
                Some(_) => self.value_end(),
            },
            Layout::Lines => {
                let rest = &self.body[self.at..];
                self.at + rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len())
            }
        };
        (end > self.at).then(|| {
            let row = self.body.slice(self.at..end);
            self.at = end;
            row
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &'static str, layout: Layout) -> Vec<String> {
        let rows = Rows::new(Bytes::from_static(text.as_bytes()), layout);
        rows.map(|row| String::from_utf8(row.to_vec()).unwrap().trim_end().to_owned()).collect()
    }

    #[test]
    fn an_array_is_cut_at_its_own_commas() {
        let text = r#" [ {"a":"],}\"[" , "b":[1,{"c":2}]}, 5,"x, ]" ,null,[[],[1,2]],{} ] "#;
        let expected = [r#"{"a":"],}\"[" , "b":[1,{"c":2}]}"#, "5", r#""x, ]""#, "null", "[[],[1,2]]", "{}"];
        assert_eq!(rows(text, Layout::Array), expected);
        assert!(rows("[]", Layout::Array).is_empty());
        assert!(rows(" [ \n ] ", Layout::Array).is_empty());
    }

    #[test]
    fn lines_may_be_blank_or_end_without_a_newline() {
        assert_eq!(rows("\n{\"a\":1}\r\n\n  {\n5", Layout::Lines), ["{\"a\":1}", "{", "5"]);
        assert!(rows("", Layout::Lines).is_empty());
    }
}
