//! Both protocols, and damage.

use super::testing::Writer;
use super::{DEPTH_MAX, Field, Kind, Message, MessageKind, Protocol, Reader};
use crate::DecodeErrorKind;

const BOTH: [Protocol; 2] = [Protocol::Binary, Protocol::Compact];

fn sample(protocol: Protocol) -> Vec<u8> {
    let mut writer = Writer::new(protocol);
    writer.structure(|w| {
        w.field(1, Kind::I64).i64(-5_000_000_000);
        w.field(2, Kind::I32).i32(i32::MIN);
        w.bool_field(3, true);
        w.bool_field(4, false);
        w.field(40, Kind::Double).double(1.5);
        w.field(41, Kind::Bytes).bytes(b"text");
        w.field(42, Kind::List).list(Kind::I16, 20);
        (0..20).for_each(|n| w.i16(n - 10));
        w.field(43, Kind::Struct).structure(|w| w.field(1, Kind::I16).i16(7));
    });
    writer.out
}

#[test]
fn every_kind_is_read() {
    for protocol in BOTH {
        let bytes = sample(protocol);
        let (mut reader, mut last, mut seen) = (Reader::new(protocol, &bytes), 0, Vec::new());
        while let Some(Field { id, kind }) = reader.field(&mut last).unwrap() {
            seen.push(id);
            match id {
                1 => assert_eq!(reader.i64().unwrap(), -5_000_000_000),
                2 => assert_eq!(reader.i32().unwrap(), i32::MIN),
                3 => assert!(reader.bool().unwrap()),
                4 => assert!(!reader.bool().unwrap()),
                40 => assert_eq!(reader.double().unwrap(), 1.5),
                41 => assert_eq!(reader.bytes().unwrap(), b"text"),
                42 => {
                    assert_eq!(reader.list().unwrap(), (Kind::I16, 20));
                    (0..20).for_each(|n| assert_eq!(reader.i16().unwrap(), n - 10));
                }
                _ => reader.skip(kind).unwrap(),
            }
        }
        assert_eq!((seen, reader.left()), (vec![1, 2, 3, 4, 40, 41, 42, 43], 0));
        let mut reader = Reader::new(protocol, &bytes);
        reader.skip(Kind::Struct).unwrap();
        assert_eq!(reader.left(), 0, "skipping goes exactly as far");
    }
}

#[test]
fn cut_messages_are_truncated_everywhere() {
    for protocol in BOTH {
        let bytes = sample(protocol);
        for cut in 0..bytes.len() {
            let error = Reader::new(protocol, &bytes[..cut]).skip(Kind::Struct).unwrap_err();
            assert_eq!(error.kind(), DecodeErrorKind::Truncated, "{protocol:?} {cut}: {error}");
        }
    }
}

#[test]
fn claims_beyond_the_body_are_refused() {
    let kind = |protocol, bytes: &[u8], what| Reader::new(protocol, bytes).skip(what).unwrap_err().kind();
    let huge = [Kind::I64 as u8, 0x7f, 0xff, 0xff, 0xff];
    let list = [10, huge[1], huge[2], huge[3], huge[4]];
    assert_eq!(kind(Protocol::Binary, &list, Kind::List), DecodeErrorKind::Truncated);
    assert_eq!(kind(Protocol::Binary, &[0xff; 5], Kind::Bytes), DecodeErrorKind::Malformed, "negative");
    assert_eq!(kind(Protocol::Compact, &[0xff; 12], Kind::Bytes), DecodeErrorKind::Malformed, "70 bits");
    assert_eq!(kind(Protocol::Compact, &[0xff, 0xff, 3], Kind::Bytes), DecodeErrorKind::Truncated);
    assert_eq!(kind(Protocol::Compact, &[0xf6, 0xff, 0xff, 3], Kind::List), DecodeErrorKind::Truncated);
    assert_eq!(kind(Protocol::Compact, &[0xff, 0xff, 3, 0x88], Kind::Map), DecodeErrorKind::Truncated);
    assert_eq!(kind(Protocol::Binary, &[7, 0, 1], Kind::Struct), DecodeErrorKind::Malformed, "no such type");
}

#[test]
fn nesting_is_bounded() {
    // Lists in lists, one element each: nothing but heads.
    for (protocol, head) in [(Protocol::Binary, &[15u8, 0, 0, 0, 1][..]), (Protocol::Compact, &[0x19])] {
        let deep = head.repeat(100_000);
        let error = Reader::new(protocol, &deep).skip(Kind::List).unwrap_err();
        assert_eq!((error.kind(), error.position()), (DecodeErrorKind::TooDeep, Some(head.len() * DEPTH_MAX)));
    }
}

#[test]
fn envelopes_tell_their_protocol() {
    for protocol in BOTH {
        let mut writer = Writer::call(protocol, "emitBatch");
        writer.structure(|w| w.field(1, Kind::I64).i64(3));
        let (message, mut reader) = Message::read(&writer.out).unwrap();
        assert_eq!(message, Message { name: "emitBatch", kind: MessageKind::Oneway });
        reader.skip(Kind::Struct).unwrap();
        assert_eq!(reader.left(), 0);
    }
    let old = b"\x00\x00\x00\x04ping\x01\x00\x00\x00\x09\x00";
    let (message, reader) = Message::read(old).unwrap();
    assert_eq!((message.name, message.kind, reader.left()), ("ping", MessageKind::Call, 1));
    for garbage in
        [&b""[..], b"GET / HTTP/1.1", b"\x82\x21", b"\x82\x24\x00\x01a", b"\x80\x02\x00\x01", b"\x00\x00\xff"]
    {
        assert!(Message::read(garbage).is_err(), "{garbage:?}");
    }
}
