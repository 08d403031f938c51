//! A part of a whole.

use super::value::{Raw, SettingValue, wanted};

/// A share, 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Share(pub f64);

impl SettingValue for Share {
    const KIND: &'static str = "a share of a whole such as \"0.05\" or \"5%\"";

    fn read(raw: &Raw) -> Result<Self, String> {
        let share = match raw {
            Raw::Integer(whole @ (0 | 1)) => Some(*whole as f64),
            Raw::Text(text) => match text.strip_suffix('%') {
                Some(percent) => percent.trim().parse::<f64>().ok().map(|percent| percent / 100.0),
                None => text.parse().ok(),
            },
            _ => None,
        };
        share.filter(|share| (0.0..=1.0).contains(share)).map(Share).ok_or_else(|| wanted::<Self>(raw))
    }

    fn show(&self) -> String {
        format!("\"{}\"", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read_and_shown() {
        let text = |text: &str| Share::read(&Raw::Text(text.into()));
        assert_eq!(
            (text("0.25"), text("25%"), Share::read(&Raw::Integer(1))),
            (Ok(Share(0.25)), Ok(Share(0.25)), Ok(Share(1.0)))
        );
        assert!(text("1.5").is_err() && text("-1%").is_err() && text("NaN").is_err() && text("much").is_err());
        assert_eq!(text(Share(0.25).show().trim_matches('"')), Ok(Share(0.25)));
    }
}
