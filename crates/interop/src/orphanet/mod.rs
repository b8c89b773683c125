//! Orphanet's free product files (Orphadata, XML in any language, or tables made of them) -> what is known of rare
//! diseases: names and other codings (product 1), prevalence (9_prev), onset and inheritance (9_ages), findings (4).

mod table;
mod xml;

use std::{io::Read, path::Path};

use clinical::orphanet::Dictionary;

use crate::{
    FileError,
    case_file::{Opened, open_path},
};

/// Reads one product file, also compressed. What it does not know of a disease stays empty.
///
/// # Errors
/// The file cannot be read, is damaged, or holds no disease: then it is none of Orphanet's product files.
pub fn read(path: &Path) -> Result<Dictionary, FileError> {
    let Opened::Text { reader, .. } = open_path(path, &crate::Meter::default())? else {
        return Err(FileError::NoDiseases);
    };
    read_stream(reader)
}

/// Reads a product file from a stream.
///
/// # Errors
/// As [`read`].
pub fn read_stream(mut reader: Box<dyn Read + Send>) -> Result<Dictionary, FileError> {
    let mut first = Vec::new();
    Read::by_ref(&mut reader).take(512).read_to_end(&mut first).map_err(crate::case_file::stream_error)?;
    let is_xml = first.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&first).trim_ascii_start().starts_with(b"<");
    let latin = first.to_ascii_uppercase().windows(10).any(|window| window == b"ISO-8859-1");
    let whole = std::io::Cursor::new(first).chain(reader);
    let dictionary = match (is_xml, latin) {
        (true, true) => xml::read(Latin::new(whole))?,
        (true, false) => xml::read(whole)?,
        (false, _) => table::read(whole)?,
    };
    if dictionary.diseases.is_empty() { Err(FileError::NoDiseases) } else { Ok(dictionary) }
}

/// ISO 8859-1 as UTF-8: every byte is the character of its number.
struct Latin<R> {
    source: R,
    /// The second byte of a character whose first one was handed out.
    kept: Option<u8>,
}

impl<R: Read> Latin<R> {
    fn new(source: R) -> Latin<R> {
        Latin { source, kept: None }
    }
}

impl<R: Read> Read for Latin<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let mut written = 0;
        if let (Some(byte), Some(place)) = (self.kept, buffer.first_mut()) {
            *place = byte;
            self.kept = None;
            written = 1;
        }
        // Each byte may become two; of a buffer of one the second is kept.
        let room = ((buffer.len() - written) / 2).max(usize::from(buffer.len() > written));
        let mut bytes = vec![0; room];
        let count = self.source.read(&mut bytes)?;
        for &byte in &bytes[..count] {
            let utf8 = [0xc0 | (byte >> 6), 0x80 | (byte & 0x3f)];
            let utf8 = if byte < 0x80 { &[byte][..] } else { &utf8[..] };
            for &byte in utf8 {
                match buffer.get_mut(written) {
                    Some(place) => {
                        *place = byte;
                        written += 1;
                    }
                    None => self.kept = Some(byte),
                }
            }
        }
        Ok(written)
    }
}
