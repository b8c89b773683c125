//! The bytes of one record, and the identifier that finds it again.
//!
//! ```text
//! frame   = marker "HBP1" | len u32 | nonce u64 | crc u32 | payload[len]      (little endian)
//! crc     = CRC-32 (ISO-HDLC) of len, nonce and payload
//! id      = UUIDv8 (RFC 9562) of the 122 free bits: 00 | segment[24] | offset[32] | nonce[64]
//! ```
//! The nonce is random, so an identifier cannot be guessed from another one.
//!
//! An erased record keeps its place, so that the identifiers of the others stay right:
//! ```text
//! erased  = marker "HBP0" | len u32 | 0 u64 | crc u32 of len and 0 | 0[len]
//! ```
//! The log's valid part ends at the first bytes that are no frame and after which none comes. Zeros from there to the end of the
//! segment are free space; anything else there is a torn tail.

use uuid::Uuid;

/// Largest payload of one record, bytes.
pub const MAX_PAYLOAD: usize = 16 << 20;
/// Highest segment number that an identifier can carry.
pub(crate) const MAX_SEGMENT: u32 = (1 << 24) - 1;
/// Bytes before the payload.
pub(crate) const HEADER: usize = 20;
const MARKER: [u8; 4] = *b"HBP1";
const ERASED: [u8; 4] = *b"HBP0";

/// Where a record lies, and the secret that proves that the asker was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) segment: u32,
    pub(crate) offset: u32,
    pub(crate) nonce: u64,
}

impl Address {
    pub(crate) fn to_id(self) -> Uuid {
        let packed = (u128::from(self.segment & MAX_SEGMENT) << 96)
            | (u128::from(self.offset) << 64)
            | u128::from(self.nonce);
        // 122 bits are split around the version and variant fields: 48, 12 and 62 bits.
        let a = (packed >> 74) & ((1 << 48) - 1);
        let b = (packed >> 62) & 0xfff;
        let c = packed & ((1 << 62) - 1);
        Uuid::new_v8(((a << 80) | (b << 64) | c).to_be_bytes())
    }

    /// Where it lies, as a number that grows along the log.
    pub(crate) fn place(self) -> i64 {
        (i64::from(self.segment) << 32) | i64::from(self.offset)
    }

    /// The address at a place; its nonce is not known.
    pub(crate) fn at_place(place: i64) -> Address {
        Address { segment: (place >> 32) as u32, offset: place as u32, nonce: 0 }
    }

    /// `None` for an identifier that this log cannot have given.
    pub(crate) fn from_id(id: Uuid) -> Option<Address> {
        if id.get_version_num() != 8 || id.get_variant() != uuid::Variant::RFC4122 {
            return None;
        }
        let bits = id.as_u128();
        let (a, b, c) = (bits >> 80, (bits >> 64) & 0xfff, bits & ((1 << 62) - 1));
        let packed = (a << 74) | (b << 62) | c;
        (packed >> 120 == 0).then_some(Address {
            segment: (packed >> 96) as u32,
            offset: (packed >> 64) as u32,
            nonce: packed as u64,
        })
    }
}

/// What stands before `payload` in its frame. The caller has checked [`MAX_PAYLOAD`].
pub(crate) fn header(nonce: u64, payload: &[u8]) -> [u8; HEADER] {
    let len = (payload.len() as u32).to_le_bytes();
    let nonce = nonce.to_le_bytes();
    let crc = checksum(&len, &nonce, payload).to_le_bytes();
    let mut header = [0; HEADER];
    header[..4].copy_from_slice(&MARKER);
    header[4..8].copy_from_slice(&len);
    header[8..16].copy_from_slice(&nonce);
    header[16..].copy_from_slice(&crc);
    header
}

/// What takes the place of a frame with `len` bytes of payload.
pub(crate) fn erased(len: usize) -> Vec<u8> {
    let mut frame = erased_header(len).to_vec();
    frame.resize(HEADER + len, 0);
    frame
}

fn erased_header(len: usize) -> [u8; HEADER] {
    let len = (len as u32).to_le_bytes();
    let mut header = [0; HEADER];
    header[..4].copy_from_slice(&ERASED);
    header[4..8].copy_from_slice(&len);
    header[16..].copy_from_slice(&checksum(&len, &[0; 8], &[]).to_le_bytes());
    header
}

fn checksum(len: &[u8], nonce: &[u8], payload: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(len);
    crc.update(nonce);
    crc.update(payload);
    crc.finalize()
}

/// The fixed part of a frame.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header {
    pub(crate) len: usize,
    pub(crate) nonce: u64,
    crc: u32,
}

impl Header {
    /// `None` where `bytes` does not begin with a plausible header.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Header> {
        let (marker, rest) = bytes.split_first_chunk::<4>()?;
        let (len, rest) = rest.split_first_chunk::<4>()?;
        let (nonce, rest) = rest.split_first_chunk::<8>()?;
        let (crc, _) = rest.split_first_chunk::<4>()?;
        let len = u32::from_le_bytes(*len) as usize;
        (*marker == MARKER && len <= MAX_PAYLOAD).then_some(Header {
            len,
            nonce: u64::from_le_bytes(*nonce),
            crc: u32::from_le_bytes(*crc),
        })
    }

    /// Does `payload` (of [`Header::len`] bytes) carry this header's checksum?
    pub(crate) fn matches(&self, payload: &[u8]) -> bool {
        let len = (self.len as u32).to_le_bytes();
        payload.len() == self.len && checksum(&len, &self.nonce.to_le_bytes(), payload) == self.crc
    }
}

/// One stretch of a segment's bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Span<'a> {
    Record {
        offset: u32,
        nonce: u64,
        payload: &'a [u8],
    },
    /// A record that was erased. `payload` is all zeros unless the eraser was killed.
    Erased {
        offset: u32,
        payload: &'a [u8],
    },
    /// Bytes that are no valid record, up to the next valid one or the end.
    Damage {
        offset: u32,
        bytes: u32,
    },
}

impl Span<'_> {
    /// How long it is.
    pub(crate) fn bytes(&self) -> usize {
        match *self {
            Span::Record { payload, .. } | Span::Erased { payload, .. } => HEADER + payload.len(),
            Span::Damage { bytes, .. } => bytes as usize,
        }
    }
}

/// Walks `bytes` of a segment from `start`, skipping over damage to the next valid record. Zeros to the end are free space, where the
/// walk ends.
pub(crate) fn walk(bytes: &[u8], start: usize) -> impl Iterator<Item = Span<'_>> {
    let mut at = start;
    std::iter::from_fn(move || {
        let rest = bytes.get(at..).filter(|rest| !rest.is_empty())?;
        let offset = at as u32;
        if let Some((header, payload)) = valid(rest) {
            at += HEADER + header.len;
            return Some(Span::Record { offset, nonce: header.nonce, payload });
        }
        if let Some(payload) = erased_payload(rest) {
            at += HEADER + payload.len();
            return Some(Span::Erased { offset, payload });
        }
        if is_free(rest) {
            return None;
        }
        let skipped = next_valid(rest);
        at += skipped;
        Some(Span::Damage { offset, bytes: skipped as u32 })
    })
}

fn valid(bytes: &[u8]) -> Option<(Header, &[u8])> {
    let header = Header::parse(bytes)?;
    let payload = bytes.get(HEADER..HEADER + header.len)?;
    header.matches(payload).then_some((header, payload))
}

/// Nothing but zeros.
fn is_free(bytes: &[u8]) -> bool {
    // In pieces, of which the compiler looks at many bytes at once.
    bytes.chunks(4096).all(|chunk| chunk.iter().fold(0, |any, byte| any | byte) == 0)
}

/// The payload of an erased record at the start of `bytes`. Its header alone tells.
fn erased_payload(bytes: &[u8]) -> Option<&[u8]> {
    let len = u32::from_le_bytes(*bytes.get(4..8)?.first_chunk()?) as usize;
    if len > MAX_PAYLOAD || !bytes.starts_with(&erased_header(len)) {
        return None;
    }
    bytes.get(HEADER..HEADER + len)
}

/// Bytes of the payload of the frame, whole or erased, whose header `bytes` begin with; `None` where it is none.
pub(crate) fn payload_len(bytes: &[u8]) -> Option<usize> {
    let len = u32::from_le_bytes(*bytes.get(4..8)?.first_chunk()?) as usize;
    let known = bytes.starts_with(&MARKER) || bytes.starts_with(&ERASED);
    (known && len <= MAX_PAYLOAD && bytes.len() >= HEADER).then_some(len)
}

/// Distance from a broken record at the start of `bytes` to the next whole one, or to the end.
fn next_valid(bytes: &[u8]) -> usize {
    (1..bytes.len())
        .find(|&at| {
            let rest = &bytes[at..];
            bytes[at] == MARKER[0] && (valid(rest).is_some() || erased_payload(rest).is_some())
        })
        .unwrap_or(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifier_carries_every_bit_of_the_address() {
        for address in [
            Address { segment: 1, offset: 8, nonce: 0 },
            Address { segment: MAX_SEGMENT, offset: u32::MAX, nonce: u64::MAX },
            Address { segment: 0x0012_3456, offset: 0x89ab_cdef, nonce: 0x0123_4567_89ab_cdef },
        ] {
            let id = address.to_id();
            assert_eq!(id.get_version_num(), 8);
            assert_eq!(Address::from_id(id), Some(address));
        }
        assert_eq!(Address::from_id(Uuid::nil()), None);
        assert_eq!(Address::from_id(Uuid::from_u128(u128::MAX)), None);
    }

    fn encode(bytes: &mut Vec<u8>, nonce: u64, payload: &[u8]) {
        bytes.extend(header(nonce, payload));
        bytes.extend(payload);
    }

    #[test]
    fn walk_finds_the_records_around_damage() {
        let mut bytes = Vec::new();
        encode(&mut bytes, 7, b"first");
        let broken = bytes.len();
        encode(&mut bytes, 8, b"second");
        encode(&mut bytes, 9, b"");
        bytes[broken + HEADER] ^= 1;
        let spans: Vec<_> = walk(&bytes, 0).collect();
        assert_eq!(spans[0], Span::Record { offset: 0, nonce: 7, payload: b"first" });
        assert_eq!(spans[1], Span::Damage { offset: broken as u32, bytes: (HEADER + 6) as u32 });
        assert!(matches!(spans[2], Span::Record { nonce: 9, payload: b"", .. }));
        assert_eq!(spans.len(), 3);
    }

    #[test]
    fn walk_ends_where_only_zeros_follow_and_a_gap_of_zeros_is_damage() {
        let mut bytes = Vec::new();
        encode(&mut bytes, 7, &[0; 9]);
        let end = bytes.len();
        for zeros in [1, 3, HEADER, 4096, 10_000] {
            bytes.resize(end + zeros, 0);
            assert_eq!(walk(&bytes, 0).count(), 1, "{zeros}");
            assert_eq!(walk(&bytes, end).count(), 0, "{zeros}");
        }
        encode(&mut bytes, 8, b"second");
        assert!(walk(&bytes, 0).any(|span| span == Span::Damage { offset: end as u32, bytes: 10_000 }));
        // A torn frame and the zeros after it are damage together.
        let torn = bytes.len() - 2;
        bytes.truncate(torn);
        bytes.resize(torn + 5000, 0);
        let begin = end + 10_000;
        let last = walk(&bytes, begin).last();
        assert_eq!(last, Some(Span::Damage { offset: begin as u32, bytes: (bytes.len() - begin) as u32 }));
        // An erased record at the end is no free space.
        bytes.truncate(end);
        bytes.extend(erased(40));
        assert!(matches!(walk(&bytes, end).last(), Some(Span::Erased { payload: [0, ..], .. })));
    }

    #[test]
    fn walk_passes_over_what_was_erased_also_after_damage() {
        let mut bytes = Vec::new();
        encode(&mut bytes, 7, b"first");
        bytes.extend(b"damage");
        let at = bytes.len();
        encode(&mut bytes, 8, b"second");
        encode(&mut bytes, 9, b"third");
        let frame = erased(b"second".len());
        bytes[at..at + frame.len()].copy_from_slice(&frame);
        let spans: Vec<_> = walk(&bytes, 0).collect();
        assert_eq!(spans.len(), 4);
        assert_eq!(spans[2], Span::Erased { offset: at as u32, payload: &[0; 6] });
        assert!(matches!(spans[3], Span::Record { nonce: 9, payload: b"third", .. }));
        // Killed in its course: the header is there, the payload not yet.
        bytes[at + HEADER..at + HEADER + 6].copy_from_slice(b"second");
        assert!(walk(&bytes, 0).any(|span| span == Span::Erased { offset: at as u32, payload: b"second" }));
    }
}
