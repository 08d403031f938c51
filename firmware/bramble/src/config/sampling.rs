//! Types of settings of sampling.

use super::value::{Names, Raw, SettingValue, wanted};
use bramble_collect::pipeline::sampling::AttributeRule;

/// Attributes for which traces are kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Rules(pub Vec<AttributeRule>);

impl SettingValue for Rules {
    const KIND: &'static str = "a list of \"key\", \"key=value\" or \"key=~expression\"";

    fn read(raw: &Raw) -> Result<Self, String> {
        let texts = Names::read(raw).map_err(|_| wanted::<Self>(raw))?;
        let rules: Result<Vec<AttributeRule>, _> = texts.0.iter().map(|text| text.parse()).collect();
        rules.map(Rules).map_err(|error| format!("{error}: {}", wanted::<Self>(raw)))
    }

    fn show(&self) -> String {
        format!("{:?}", self.0.iter().map(AttributeRule::to_string).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_print_as_they_read() {
        let text = |t: &str| Raw::Text(t.to_owned());
        let rules = Rules::read(&text("tier=gold, url=~/admin/.*")).unwrap();
        assert_eq!(rules.show(), r#"["tier=gold", "url=~/admin/.*"]"#);
        assert!(Rules::read(&text("a=~(")).unwrap_err().contains("a=~("));
    }
}
