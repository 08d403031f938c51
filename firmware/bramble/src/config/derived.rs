//! Types of settings of what is derived from spans.

use super::value::{Interval, Names, Raw, SettingValue, wanted};
use bramble_derive::{Histograms, SpanNames};

/// Whose names span metrics have, if there are any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SpanNamesSetting(pub Option<SpanNames>);

const SPAN_NAMES: [(&str, Option<SpanNames>); 4] = [
    ("tempo", Some(SpanNames::Tempo)),
    ("connector", Some(SpanNames::Connector)),
    ("both", Some(SpanNames::Both)),
    ("off", None),
];

impl SettingValue for SpanNamesSetting {
    const KIND: &'static str = "\"tempo\", \"connector\", \"both\" or \"off\"";

    fn read(raw: &Raw) -> Result<Self, String> {
        let named = |text: &str| SPAN_NAMES.iter().find(|(word, _)| *word == text);
        match raw {
            Raw::Text(text) => {
                named(text).map(|(_, names)| SpanNamesSetting(*names)).ok_or_else(|| wanted::<Self>(raw))
            }
            _ => Err(wanted::<Self>(raw)),
        }
    }

    fn show(&self) -> String {
        let word = SPAN_NAMES.iter().find(|(_, names)| *names == self.0).map_or("off", |(word, _)| word);
        format!("{word:?}")
    }
}

/// In which form durations are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct HistogramsSetting(pub Histograms);

const HISTOGRAMS: [(&str, Histograms); 3] =
    [("classic", Histograms::Classic), ("native", Histograms::Native), ("both", Histograms::Both)];

impl SettingValue for HistogramsSetting {
    const KIND: &'static str = "\"classic\", \"native\" or \"both\"";

    fn read(raw: &Raw) -> Result<Self, String> {
        let named = |text: &str| HISTOGRAMS.iter().find(|(word, _)| *word == text);
        match raw {
            Raw::Text(text) => named(text).map(|(_, form)| HistogramsSetting(*form)).ok_or_else(|| wanted::<Self>(raw)),
            _ => Err(wanted::<Self>(raw)),
        }
    }

    fn show(&self) -> String {
        let word = HISTOGRAMS.iter().find(|(_, form)| *form == self.0).map_or("classic", |(word, _)| word);
        format!("{word:?}")
    }
}

/// Most bounds of a histogram.
const BOUNDS_MAX: usize = 64;

/// Upper bounds of buckets, ascending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bounds(pub Vec<Interval>);

impl Bounds {
    /// In nanoseconds.
    pub(crate) fn ns(&self) -> Vec<u64> {
        self.0.iter().map(|bound| bound.ns()).collect()
    }
}

impl SettingValue for Bounds {
    const KIND: &'static str = "a list of at most 64 lengths of time, ascending, such as \"2ms, 10ms, 1s\"";

    fn read(raw: &Raw) -> Result<Self, String> {
        let texts = Names::read(raw).map_err(|_| wanted::<Self>(raw))?;
        let read = |text: &String| Interval::read(&Raw::Text(text.clone())).map_err(|_| wanted::<Self>(raw));
        let bounds: Vec<Interval> = texts.0.iter().map(read).collect::<Result<_, _>>()?;
        let ascending = bounds.is_sorted_by(|a, b| a.0 < b.0) && bounds.first().is_some_and(|first| !first.0.is_zero());
        match ascending && bounds.len() <= BOUNDS_MAX {
            true => Ok(Bounds(bounds)),
            false => Err(wanted::<Self>(raw)),
        }
    }

    fn show(&self) -> String {
        let shown: Vec<String> = self.0.iter().map(Interval::show).collect();
        format!("[{}]", shown.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Optional;

    #[test]
    fn words_and_bounds_print_as_they_read() {
        let text = |t: &str| Raw::Text(t.to_owned());
        for word in ["tempo", "connector", "both", "off"] {
            assert_eq!(SpanNamesSetting::read(&text(word)).unwrap().show(), format!("{word:?}"));
        }
        for word in ["classic", "native", "both"] {
            assert_eq!(HistogramsSetting::read(&text(word)).unwrap().show(), format!("{word:?}"));
        }
        assert!(SpanNamesSetting::read(&text("loki")).is_err() && HistogramsSetting::read(&Raw::Bool(true)).is_err());
        let bounds = Bounds::read(&text("500us, 2ms, 1.5s")).unwrap();
        assert_eq!(bounds.ns(), [500_000, 2_000_000, 1_500_000_000]);
        assert_eq!(bounds.show(), r#"["500us", "2ms", "1500ms"]"#);
        for bad in ["2ms, 1ms", "", "0s, 1s", "fast"] {
            assert!(Bounds::read(&text(bad)).is_err(), "{bad}");
        }
        assert_eq!(Optional::<Bounds>::read(&text("auto")), Ok(Optional(None)));
    }
}
