//! Random entries: JSON, logfmt, packed, coloured and free text, odd bytes; metadata and floating labels whose names are
//! those of stream labels and of fields of lines.

use std::collections::BTreeMap;

/// A sequence of numbers from a seed (xorshift*).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def1);
        (0..4).for_each(|_| {
            random.below(2);
        });
        random
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % n as u64) as usize
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn pick<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Entry {
    pub(crate) stream: BTreeMap<String, String>,
    pub(crate) floating: BTreeMap<String, String>,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) time: i64,
    pub(crate) line: Vec<u8>,
}

pub(crate) const NAMES: [&str; 10] =
    ["app", "host", "level", "trace_id", "status", "took", "size", "msg", "user", "u_id"];
pub(crate) const VALUES: [&str; 16] = [
    "a", "b", "info", "error", "7", "12.5", "-3", "250ms", "1.5s", "2KB", "3MiB", "10.0.0.7", "x y", "", "é☃",
    "a\"b\\c",
];

fn value(random: &mut Random) -> &'static str {
    random.pick(&VALUES)
}

fn json_string(text: &str, random: &mut Random) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if !c.is_ascii() && random.one_in(2) && (c as u32) < 0x1_0000 => {
                out.push_str(&format!("\\u{:04x}", c as u32))
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn json_value(random: &mut Random, depth: usize) -> String {
    match random.below(if depth > 2 { 7 } else { 9 }) {
        0 => "null".to_owned(),
        1 => random.pick(&["true", "false"]).to_owned(),
        2 | 3 => random.pick(&["7", "12.50", "-3", "1e3", "0"]).to_owned(),
        4..=6 => {
            let text = value(random);
            json_string(text, random)
        }
        7 => format!("[{}, {}]", json_value(random, depth + 1), json_value(random, depth + 1)),
        _ => json_object(random, depth + 1),
    }
}

fn json_object(random: &mut Random, depth: usize) -> String {
    let blank = if random.one_in(3) { " " } else { "" };
    let keys = ["app", "level", "status", "took", "u", "id", "user", "x-y", "1st", "trace_id", ""];
    let members: Vec<String> = (0..random.below(6))
        .map(|_| {
            let key = random.pick(&keys);
            format!("\"{key}\":{blank}{}", json_value(random, depth))
        })
        .collect();
    format!("{{{}}}", members.join(&format!(",{blank}")))
}

fn logfmt(random: &mut Random) -> String {
    let keys = ["app", "level", "status", "took", "size", "user", "x-y", "1st", "msg"];
    let word = |random: &mut Random| {
        let (key, value) = (random.pick(&keys), value(random));
        let plain = !value.is_empty() && !value.contains([' ', '"', '\\', '=']);
        match random.below(10) {
            0 => key.to_owned(),
            1 => format!("{key}="),
            2 => format!("{key}=bad\"word"),
            3 => "=nokey".to_owned(),
            _ if plain && random.one_in(2) => format!("{key}={value}"),
            _ => format!(
                "{key}={}",
                json_string(value, &mut Random::new(3)).replace("\\u00e9", "é").replace("\\u2603", "☃")
            ),
        }
    };
    let words: Vec<String> = (0..random.below(7)).map(|_| word(random)).collect();
    words.join(if random.one_in(5) { "  " } else { " " })
}

fn line(random: &mut Random) -> Vec<u8> {
    match random.below(12) {
        0..=3 => json_object(random, 0).into_bytes(),
        4 => {
            // Broken off behind a value of the outermost object.
            let whole = json_object(random, 0);
            let end = whole.strip_suffix('}').unwrap_or("");
            end.as_bytes().to_vec()
        }
        5..=7 => logfmt(random).into_bytes(),
        8 => {
            format!("10.0.0.{} - {} [x y] \"GET /\" {}", random.below(9), value(random), random.below(600)).into_bytes()
        }
        9 => {
            let (entry, pod) = (logfmt(random), value(random));
            let (entry, pod) = (json_string(&entry, random), json_string(pod, random));
            format!("{{\"_entry\":{entry},\"pod\":{pod},\"app\":\"inner\",\"n\":5}}").into_bytes()
        }
        10 => [b"raw \xff\xfe bytes ".as_slice(), value(random).as_bytes(), b"\x00end"].concat(),
        _ => format!("\u{1b}[31m{}\u{1b}[0m level=\u{1b}[1;32minfo\u{1b}[0m", value(random)).into_bytes(),
    }
}

fn labels(random: &mut Random, names: &[&str], chance: usize) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for name in names {
        if random.one_in(chance) {
            let value = value(random);
            if !value.is_empty() {
                out.insert((*name).to_owned(), value.to_owned());
            }
        }
    }
    out
}

/// Entries of a few streams, no two at one time.
pub(crate) fn entries(random: &mut Random) -> Vec<Entry> {
    let streams: Vec<BTreeMap<String, String>> = (0..3)
        .map(|i| {
            let mut stream = labels(random, &["level", "host"], 2);
            stream.insert("app".to_owned(), ["api", "web", "db"][i].to_owned());
            stream
        })
        .collect();
    let count = random.below(40);
    let mut all = Vec::new();
    for i in 0..count {
        let stream = streams[random.below(3)].clone();
        let floating = labels(random, &["trace_id"], 3);
        let metadata = labels(random, &["app", "user", "took", "trace_id"], 5);
        let time = (i as i64 * 60_000_000_000 / count as i64) + random.below(1000) as i64;
        all.push(Entry { stream, floating, metadata, time, line: line(random) });
    }
    all
}
