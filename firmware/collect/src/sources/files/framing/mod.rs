//! From lines of a file to entries: what a container runtime wraps around a line is taken off, and lines that it wrote in
//! parts are joined.

mod cri;
mod docker;
mod time;

use super::config::FileFormat;

/// Lines of the other channel that may pass while a part of one waits for the rest and still be known to have passed after
/// a power cut. Runtimes write the parts of a line in a row.
const TOLD_MAX: usize = 256;

/// Which output of a container wrote a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Channel {
    /// The file does not say.
    #[default]
    None,
    Stdout,
    Stderr,
}

impl Channel {
    pub(super) const ALL: [Channel; 3] = [Channel::None, Channel::Stdout, Channel::Stderr];

    /// Value of the label `stream`.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Channel::None => "",
            Channel::Stdout => "stdout",
            Channel::Stderr => "stderr",
        }
    }
}

/// A line as a runtime wrote it.
#[derive(PartialEq, Eq, Debug)]
struct Framed<'a> {
    timestamp_ns: i64,
    channel: Channel,
    /// It goes on in the next line of the channel.
    is_partial: bool,
    /// `None`: it was written into the scratch.
    text: Option<&'a [u8]>,
}

/// An entry.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Whole<'a> {
    /// `None`: the file does not say.
    pub(super) timestamp_ns: Option<i64>,
    pub(super) channel: Channel,
    pub(super) text: &'a [u8],
    /// Where its first byte is in the file.
    pub(super) start: u64,
}

/// The parts of a line so far.
#[derive(Default)]
struct Parts {
    timestamp_ns: i64,
    /// Where each part is.
    starts: Vec<u64>,
    text: Vec<u8>,
}

/// What went wrong with lines, since it was last asked.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(super) struct Mishaps {
    /// Lines that are not what their file's format says; they are taken as they are.
    pub(super) malformed: u64,
    /// Joined lines that were cut.
    pub(super) cut: u64,
}

/// The framing of one file.
pub(super) struct Framing {
    format: FileFormat,
    line_bytes_max: usize,
    parts: [Parts; 2],
    /// Lines behind the oldest part that were given out, ascending.
    told: Vec<u64>,
    /// Lines that were given out before a restart, ascending.
    skip: Vec<u64>,
    joined: Vec<u8>,
    scratch: Vec<u8>,
    mishaps: Mishaps,
}

impl Framing {
    /// `skip`: starts of lines that are to be passed over, ascending.
    pub(super) fn new(format: FileFormat, line_bytes_max: usize, skip: Vec<u64>) -> Framing {
        let (parts, told, joined, scratch, mishaps) = Default::default();
        Framing { format, line_bytes_max, parts, told, skip, joined, scratch, mishaps }
    }

    pub(super) fn format(&self) -> FileFormat {
        self.format
    }

    /// Where the oldest part is that waits for the rest of its line.
    pub(super) fn held(&self) -> Option<u64> {
        self.parts.iter().filter_map(|parts| parts.starts.first().copied()).min()
    }

    /// Lines behind [`held`](Self::held) that were given out, ascending.
    pub(super) fn told(&self) -> &[u64] {
        &self.told
    }

    pub(super) fn take_mishaps(&mut self) -> Mishaps {
        std::mem::take(&mut self.mishaps)
    }

    /// Takes a line that begins at `start` in the file and gives the entry that it ends, if it does.
    pub(super) fn take<'a>(&'a mut self, line: &'a [u8], start: u64) -> Option<Whole<'a>> {
        if !self.skip.is_empty() {
            if let Ok(at) = self.skip.binary_search(&start) {
                self.skip.remove(at);
                self.tell(&[start]);
                return None;
            }
            self.skip.retain(|&other| other > start);
        }
        if self.format == FileFormat::Auto {
            self.format = recognise(line, &mut self.scratch);
        }
        let framed = match self.format {
            FileFormat::Cri => cri::parse(line),
            FileFormat::Docker => docker::parse(line, &mut self.scratch),
            FileFormat::Plain | FileFormat::Auto => {
                return Some(Whole { timestamp_ns: None, channel: Channel::None, text: line, start });
            }
        };
        let Some(framed) = framed else {
            self.mishaps.malformed += 1;
            if self.held().is_some() {
                self.told.push(start);
            }
            return Some(Whole { timestamp_ns: None, channel: Channel::None, text: line, start });
        };
        let (first, second) = self.parts.split_at_mut(1);
        let (mine, other) = if framed.channel == Channel::Stderr { (second, first) } else { (first, second) };
        let (Some(mine), Some(other)) = (mine.first_mut(), other.first()) else { return None };
        if mine.starts.is_empty() && !framed.is_partial {
            if !other.starts.is_empty() && self.told.len() < TOLD_MAX {
                self.told.push(start);
            }
            let Framed { timestamp_ns, channel, text, .. } = framed;
            let text = text.unwrap_or(&self.scratch);
            return Some(Whole { timestamp_ns: Some(timestamp_ns), channel, text, start });
        }
        if mine.starts.is_empty() {
            mine.timestamp_ns = framed.timestamp_ns;
            mine.text.clear();
        }
        mine.starts.push(start);
        let room = self.line_bytes_max.saturating_sub(mine.text.len());
        let text = framed.text.unwrap_or(&self.scratch);
        if text.len() > room {
            self.mishaps.cut += 1;
        }
        mine.text.extend_from_slice(text.get(..room).unwrap_or(text));
        let (channel, is_partial) = (framed.channel, framed.is_partial);
        if is_partial { None } else { self.join(channel) }
    }

    /// The entry that the parts of a channel make.
    fn join(&mut self, channel: Channel) -> Option<Whole<'_>> {
        let mine = self.parts.get_mut(usize::from(channel == Channel::Stderr))?;
        let starts = std::mem::take(&mut mine.starts);
        std::mem::swap(&mut self.joined, &mut mine.text);
        let timestamp_ns = Some(mine.timestamp_ns);
        self.tell(&starts);
        Some(Whole { timestamp_ns, channel, text: &self.joined, start: starts.first().copied()? })
    }

    fn tell(&mut self, starts: &[u64]) {
        let Some(held) = self.held() else { return self.told.clear() };
        self.told.extend_from_slice(starts);
        self.told.retain(|&start| start > held);
        self.told.sort_unstable();
        self.told.truncate(TOLD_MAX);
    }

    /// An entry of parts whose rest will not come; to be called until there is none.
    pub(super) fn flush(&mut self) -> Option<Whole<'_>> {
        let at = self.parts.iter().position(|parts| !parts.starts.is_empty())?;
        self.join(if at == 0 { Channel::Stdout } else { Channel::Stderr })
    }
}

/// What format a file has that begins with this line.
fn recognise(line: &[u8], scratch: &mut Vec<u8>) -> FileFormat {
    if cri::parse(line).is_some() {
        FileFormat::Cri
    } else if docker::parse(line, scratch).is_some() {
        FileFormat::Docker
    } else {
        FileFormat::Plain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(framing: &mut Framing, lines: &[(u64, &str)]) -> Vec<(u64, String)> {
        let mut out = Vec::new();
        for (start, line) in lines {
            if let Some(whole) = framing.take(line.as_bytes(), *start) {
                out.push((whole.start, format!("{}{}", whole.channel.as_str(), String::from_utf8_lossy(whole.text))));
            }
        }
        out
    }

    const LINES: [(u64, &str); 6] = [
        (0, "2016-10-06T00:17:09Z stdout P one "),
        (10, "2016-10-06T00:17:09Z stderr F whole"),
        (20, "2016-10-06T00:17:10Z stderr P two "),
        (30, "2016-10-06T00:17:10Z stderr F parts"),
        (40, "2016-10-06T00:17:11Z stdout F end"),
        (50, "2016-10-06T00:17:11Z stdout F next"),
    ];

    #[test]
    fn parts_are_joined_and_no_power_cut_doubles_or_loses() {
        let all = texts(&mut Framing::new(FileFormat::Auto, 100, vec![]), &LINES);
        let expected = [(10, "stderrwhole"), (20, "stderrtwo parts"), (0, "stdoutone end"), (50, "stdoutnext")];
        assert_eq!(all, expected.map(|(start, text)| (start, text.to_owned())));
        for cut in 0..=LINES.len() {
            let mut framing = Framing::new(FileFormat::Auto, 100, vec![]);
            let mut found = texts(&mut framing, &LINES[..cut]);
            let from = framing.held().unwrap_or(LINES.get(cut).map_or(60, |line| line.0));
            // Again, cut at the same place: what is known to have passed is known still.
            let mut again = Framing::new(FileFormat::Cri, 100, framing.told().to_vec());
            let until = LINES[..cut].iter().filter(|line| line.0 >= from).copied().collect::<Vec<_>>();
            assert_eq!(texts(&mut again, &until), [], "{cut}");
            assert_eq!((again.held(), again.told()), (framing.held(), framing.told()), "{cut}");
            let mut again = Framing::new(FileFormat::Cri, 100, framing.told().to_vec());
            let rest = LINES.iter().filter(|line| line.0 >= from).copied().collect::<Vec<_>>();
            found.extend(texts(&mut again, &rest));
            assert_eq!(found, all, "{cut}");
        }
    }

    #[test]
    fn what_does_not_fit_is_cut_and_what_is_malformed_passes() {
        let mut framing = Framing::new(FileFormat::Cri, 6, vec![]);
        let lines = [LINES[0], LINES[4], (60, "what is this")];
        assert_eq!(texts(&mut framing, &lines), [(0, "stdoutone en".to_owned()), (60, "what is this".to_owned())]);
        assert_eq!(framing.take_mishaps(), Mishaps { malformed: 1, cut: 1 });
        assert_eq!(texts(&mut framing, &[LINES[0]]), []);
        assert_eq!(framing.flush().map(|whole| whole.text.to_vec()), Some(b"one ".to_vec()));
        assert_eq!(framing.flush(), None);
    }

    #[test]
    fn formats_are_recognised() {
        let of = |line: &str| recognise(line.as_bytes(), &mut Vec::new());
        assert_eq!(of(LINES[0].1), FileFormat::Cri);
        assert_eq!(of(r#"{"log":"x\n","stream":"stdout","time":"2016-10-06T00:17:09Z"}"#), FileFormat::Docker);
        assert_eq!(of(r#"{"log":"x","level":"info"}"#), FileFormat::Plain);
        assert_eq!(of("2016-10-06T00:17:09Z started"), FileFormat::Plain);
    }
}
