//! The envelope of a call.

use super::reader::malformed;
use super::{Protocol, Reader};
use crate::error::{DecodeError, DecodeErrorKind};

/// Who says it to whom.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MessageKind {
    /// A call that is answered.
    Call,
    /// An answer.
    Reply,
    /// An answer that something went wrong.
    Exception,
    /// A call that is not answered.
    Oneway,
}

/// A call: its name and kind. Its arguments, a struct, follow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Message<'a> {
    /// The method.
    pub name: &'a str,
    /// What sort of message.
    pub kind: MessageKind,
}

/// First byte of the compact protocol, and of a strict message of the binary one.
const COMPACT: u8 = 0x82;
const STRICT: u8 = 0x80;
const VERSION: u8 = 1;

impl<'a> Message<'a> {
    /// Reads the envelope of `packet`. Which protocol it is written in shows in its first byte: compact, strict binary,
    /// or old binary, which begins with the length of the method's name.
    ///
    /// # Errors
    /// Anything else; another version; an envelope that is cut off.
    pub fn read(packet: &'a [u8]) -> Result<(Message<'a>, Reader<'a>), DecodeError> {
        match packet.first() {
            None => Err(DecodeError::new(DecodeErrorKind::Truncated, "empty message", 0)),
            Some(&COMPACT) => compact(packet),
            Some(&STRICT) => strict(packet),
            Some(0) => old(packet),
            Some(_) => Err(malformed("not a Thrift message", 0)),
        }
    }
}

fn compact(packet: &[u8]) -> Result<(Message<'_>, Reader<'_>), DecodeError> {
    let mut reader = Reader::new(Protocol::Compact, packet);
    let [_, version_and_kind] = reader.array()?;
    check_version(version_and_kind & 0x1f)?;
    let kind = kind(version_and_kind >> 5)?;
    // The sequence number: nobody asks for an answer.
    reader.varint()?;
    let name = name(&mut reader)?;
    Ok((Message { name, kind }, reader))
}

fn strict(packet: &[u8]) -> Result<(Message<'_>, Reader<'_>), DecodeError> {
    let mut reader = Reader::new(Protocol::Binary, packet);
    let [_, version, _, number] = reader.array()?;
    check_version(version)?;
    let kind = kind(number)?;
    let name = name(&mut reader)?;
    reader.i32()?;
    Ok((Message { name, kind }, reader))
}

fn old(packet: &[u8]) -> Result<(Message<'_>, Reader<'_>), DecodeError> {
    let mut reader = Reader::new(Protocol::Binary, packet);
    let name = name(&mut reader)?;
    let [number] = reader.array()?;
    let kind = kind(number)?;
    reader.i32()?;
    Ok((Message { name, kind }, reader))
}

fn check_version(version: u8) -> Result<(), DecodeError> {
    if version == VERSION { Ok(()) } else { Err(malformed("unknown version of the Thrift protocol", 1)) }
}

fn kind(number: u8) -> Result<MessageKind, DecodeError> {
    Ok(match number {
        1 => MessageKind::Call,
        2 => MessageKind::Reply,
        3 => MessageKind::Exception,
        4 => MessageKind::Oneway,
        _ => return Err(malformed("unknown kind of Thrift message", 1)),
    })
}

fn name<'a>(reader: &mut Reader<'a>) -> Result<&'a str, DecodeError> {
    let position = reader.position();
    std::str::from_utf8(reader.bytes()?)
        .map_err(|_| DecodeError::new(DecodeErrorKind::Utf8, "method's name is not UTF-8", position))
}
