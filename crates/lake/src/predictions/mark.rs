//! A place in a log that was reached, told from the same place of a log that was put back and has grown again.

use twox_hash::XxHash3_64;
use uuid::Uuid;

use super::frame::{Address, header};

/// A record that somebody has read up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Where it lies, as a number that grows along the log.
    pub place: i64,
    /// What tells it from another record that came to lie there; `None` where that was not kept.
    pub print: Option<i64>,
}

impl Mark {
    /// Of a record as a scan gives it; `None` for an identifier that no log gives.
    pub fn of(id: Uuid, payload: &[u8]) -> Option<Mark> {
        let address = Address::from_id(id)?;
        Some(Mark { place: address.place(), print: Some(print(address.nonce, payload)) })
    }
}

/// A digest of the record's frame by its header, which carries checksum and nonce: no two appends share it, and it says
/// nothing of the payload to whom the nonce is not known. Not negative.
pub(super) fn print(nonce: u64, payload: &[u8]) -> i64 {
    (XxHash3_64::oneshot(&header(nonce, payload)) >> 1).cast_signed()
}
