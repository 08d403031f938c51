//! Writes the seeds of Jaeger's and Zipkin's targets: `cargo run --example span_seeds` in this directory. Its output is
//! committed.

use bramble_wire::protobuf::{Writer, zigzag};
use std::path::Path;

const START_US: i64 = 1_700_000_000_000_000;

const ZIPKIN_V2: &str = r#"j[{"traceId":"ab","id":"5","parentId":"4","name":"get /","kind":"CLIENT","timestamp":1700000000000000,"duration":1500,"debug":true,"shared":true,"localEndpoint":{"serviceName":"shop","ipv4":"10.0.0.1","port":8080},"remoteEndpoint":{"serviceName":"db","ipv6":"fe80::1","port":5432},"annotations":[{"timestamp":1700000000000100,"value":"retry|{\"a\":1}|0"},{"value":"{\"e\":{\"b\":[1,\"x\"]}}"}],"tags":{"error":"boom","host.name":"pi","otel.status_code":"OK","w3c.tracestate":"a=b","otlp.link.0":"0102|03||{\"k\":0.5}|1"}}]"#;
const ZIPKIN_V1: &str = r#"j[{"traceId":"ab","id":"5","annotations":[{"timestamp":1700000000000000,"value":"cs","endpoint":{"serviceName":"shop","ipv4":"10.0.0.1","port":"80"}},{"timestamp":1700000000001500,"value":"cr"}],"binaryAnnotations":[{"key":"n","value":5},{"key":"lc","value":"job"},{"key":"sa","value":true,"endpoint":{"serviceName":"db"}}]}]"#;

fn main() -> std::io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let save = |target: &str, name: &str, bytes: &[u8]| {
        std::fs::create_dir_all(corpus.join(target))?;
        std::fs::write(corpus.join(target).join(name), bytes)
    };
    save("zipkin", "v2", ZIPKIN_V2.as_bytes())?;
    save("zipkin", "v1", ZIPKIN_V1.as_bytes())?;
    save("zipkin", "protobuf", &[b"p", &zipkin_protobuf()[..]].concat())?;
    save("jaeger_proto", "request", &jaeger_protobuf())?;
    for (compact, letter, name) in [(false, b'b', "binary"), (true, b'c', "compact")] {
        let batch = Thrift::structure(compact, jaeger_batch);
        save("thrift", name, &[&[letter][..], &batch].concat())?;
        let call = |method: &str| match compact {
            true => [&[0x82, 0x81, 0, method.len() as u8], method.as_bytes()].concat(),
            false => [b"\x80\x01\x00\x04\x00\x00\x00", &[method.len() as u8][..], method.as_bytes(), &[0; 4]].concat(),
        };
        let arguments = Thrift::structure(compact, |w| w.inner(1, jaeger_batch));
        save("thrift", &format!("packet_{name}"), &[b"u", &call("emitBatch")[..], &arguments].concat())?;
        let arguments = Thrift::structure(compact, |w| w.list(1, &[zipkin_span]));
        save("thrift", &format!("zipkin_{name}"), &[b"u", &call("emitZipkinBatch")[..], &arguments].concat())?;
    }
    let list = [b"z\x0c\x00\x00\x00\x01", &Thrift::structure(false, zipkin_span)[..]].concat();
    save("thrift", "zipkin_list", &list)
}

/// Writes a struct in either protocol.
struct Thrift {
    out: Vec<u8>,
    compact: bool,
    last: i16,
}

impl Thrift {
    fn structure(compact: bool, fill: impl FnOnce(&mut Thrift)) -> Vec<u8> {
        let mut writer = Thrift { out: Vec::new(), compact, last: 0 };
        fill(&mut writer);
        writer.out.push(0);
        writer.out
    }

    /// The head of a field, its type as in the binary and in the compact protocol.
    fn field(&mut self, id: i16, (binary, compact): (u8, u8)) {
        if self.compact {
            self.out.push(((id - self.last) as u8) << 4 | compact);
        } else {
            self.out.push(binary);
            self.out.extend(id.to_be_bytes());
        }
        self.last = id;
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.out.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.out.push(value as u8);
    }

    fn i64(&mut self, id: i16, value: i64) {
        self.field(id, (10, 6));
        if self.compact { self.varint(zigzag(value)) } else { self.out.extend(value.to_be_bytes()) }
    }

    fn i32(&mut self, id: i16, value: i32) {
        self.field(id, (8, 5));
        if self.compact { self.varint(zigzag(value.into())) } else { self.out.extend(value.to_be_bytes()) }
    }

    fn double(&mut self, id: i16, value: f64) {
        self.field(id, (4, 7));
        self.out.extend(if self.compact { value.to_le_bytes() } else { value.to_be_bytes() });
    }

    fn bytes(&mut self, id: i16, value: &[u8]) {
        self.field(id, (11, 8));
        if self.compact {
            self.varint(value.len() as u64)
        } else {
            self.out.extend((value.len() as i32).to_be_bytes())
        }
        self.out.extend(value);
    }

    fn inner(&mut self, id: i16, fill: impl FnOnce(&mut Thrift)) {
        self.field(id, (12, 12));
        self.out.extend(Thrift::structure(self.compact, fill));
    }

    fn list(&mut self, id: i16, items: &[fn(&mut Thrift)]) {
        self.field(id, (15, 9));
        if self.compact {
            self.out.push((items.len() as u8) << 4 | 12);
        } else {
            self.out.push(12);
            self.out.extend((items.len() as i32).to_be_bytes());
        }
        items.iter().for_each(|item| self.out.extend(Thrift::structure(self.compact, item)));
    }
}

fn text_tag(w: &mut Thrift, key: &str, value: &str) {
    w.bytes(1, key.as_bytes());
    w.i32(2, 0);
    w.bytes(3, value.as_bytes());
}

fn double_tag(w: &mut Thrift) {
    w.bytes(1, b"double");
    w.i32(2, 1);
    w.double(4, 0.5);
}

fn long_tag(w: &mut Thrift) {
    w.bytes(1, b"http.status_code");
    w.i32(2, 3);
    w.i64(6, 404);
}

fn bytes_tag(w: &mut Thrift) {
    w.bytes(1, b"b");
    w.i32(2, 4);
    w.bytes(7, &[0xff, 0]);
}

fn jaeger_batch(w: &mut Thrift) {
    w.inner(1, |w| {
        w.bytes(1, b"shop");
        w.list(2, &[|w| text_tag(w, "hostname", "pi")]);
    });
    w.list(2, &[jaeger_span]);
}

fn jaeger_span(w: &mut Thrift) {
    w.i64(1, 0x1234);
    w.i64(2, 1);
    w.i64(3, 5);
    w.i64(4, 0);
    w.bytes(5, b"GET /");
    w.list(6, &[|w| reference(w, 1, 8), |w| reference(w, 0, 9)]);
    w.i32(7, 3);
    w.i64(8, START_US);
    w.i64(9, 1500);
    w.list(10, &[|w| text_tag(w, "span.kind", "client"), double_tag, long_tag, bytes_tag]);
    w.list(
        11,
        &[|w| {
            w.i64(1, START_US + 1);
            w.list(2, &[|w| text_tag(w, "event", "retry"), long_tag]);
        }],
    );
}

fn reference(w: &mut Thrift, kind: i32, span: i64) {
    w.i32(1, kind);
    w.i64(2, 0x1234);
    w.i64(3, 1);
    w.i64(4, span);
}

fn zipkin_span(w: &mut Thrift) {
    w.i64(1, 0xab);
    w.bytes(3, b"get /");
    w.i64(4, 5);
    w.i64(5, 4);
    w.list(
        6,
        &[|w| {
            w.i64(1, START_US);
            w.bytes(2, b"sr");
            w.inner(3, |w| {
                w.i32(1, 0x0a00_0001);
                w.bytes(3, b"shop");
            });
        }],
    );
    w.list(
        8,
        &[|w| {
            w.bytes(1, b"n");
            w.bytes(2, &[0, 0, 0, 7]);
            w.i32(3, 3);
        }],
    );
    w.i64(10, START_US);
    w.i64(11, 1500);
    w.i64(12, 1);
}

fn jaeger_protobuf() -> Vec<u8> {
    let mut out = Vec::new();
    let tag = |w: &mut Writer<'_>, number: u32, key: &str, value: &str| {
        w.message(number, |w| {
            w.bytes(1, key);
            w.bytes(3, value);
        });
    };
    Writer::new(&mut out).message(1, |w| {
        w.message(1, |w| {
            w.bytes(1, [1; 16]);
            w.bytes(2, [2; 8]);
            w.bytes(3, "GET /");
            w.message(4, |w| {
                w.bytes(1, [1; 16]);
                w.bytes(2, [3; 8]);
                w.varint(3, 1);
            });
            w.varint(5, 3);
            w.message(6, |w| w.varint(1, 1_700_000_000));
            w.message(7, |w| w.varint(2, 1_500_000));
            tag(w, 8, "otel.status_code", "ERROR");
            tag(w, 8, "a", "b");
            w.message(9, |w| {
                w.message(1, |w| w.varint(1, 1_700_000_000));
                tag(w, 2, "message", "retry");
            });
            w.message(10, |w| w.bytes(1, "cart"));
            w.bytes(12, "clock skew");
        });
        w.message(2, |w| {
            w.bytes(1, "shop");
            tag(w, 2, "hostname", "pi");
        });
    });
    out
}

fn zipkin_protobuf() -> Vec<u8> {
    let mut out = Vec::new();
    Writer::new(&mut out).message(1, |w| {
        w.bytes(1, [1; 16]);
        w.bytes(2, [4; 8]);
        w.bytes(3, [5; 8]);
        w.varint(4, 2);
        w.bytes(5, "get /");
        w.fixed64(6, START_US as u64);
        w.varint(7, 1500);
        w.message(8, |w| {
            w.bytes(1, "shop");
            w.bytes(2, [10, 0, 0, 1]);
            w.varint(4, 8080);
        });
        w.message(9, |w| w.bytes(3, [1; 16]));
        w.message(10, |w| {
            w.fixed64(1, START_US as u64);
            w.bytes(2, "retry");
        });
        w.message(11, |w| {
            w.bytes(1, "error");
            w.bytes(2, "boom");
        });
        w.varint(13, 1);
    });
    out
}
