//! What must not be shown.

use super::value::{Raw, SettingValue, wanted};

/// A secret; empty for none.
#[derive(Clone, Default, PartialEq)]
pub(crate) struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.show())
    }
}

impl SettingValue for Secret {
    const KIND: &'static str = "a secret, shown as \"<secret>\"";

    fn read(raw: &Raw) -> Result<Self, String> {
        match raw {
            Raw::Text(text) => Ok(Secret(text.trim().to_owned())),
            _ => Err(wanted::<Self>(raw)),
        }
    }

    fn show(&self) -> String {
        if self.0.is_empty() { "\"\"" } else { "\"<secret>\"" }.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_read_and_not_shown() {
        let secret = Secret::read(&Raw::Text(" abc\n".into())).unwrap();
        assert_eq!((secret.0.as_str(), secret.show().as_str()), ("abc", "\"<secret>\""));
        assert!(!format!("{secret:?}").contains("abc"));
        assert_eq!(Secret::default().show(), "\"\"");
        assert!(Secret::read(&Raw::Integer(5)).is_err());
    }
}
