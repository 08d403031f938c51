//! Templates over named texts rather than over the labels of a row.

use super::Template;
use crate::eval::fields::Fields;
use crate::eval::pipeline::Row;
use std::borrow::Cow;

/// A Go template over named texts, with LogQL's functions and the hashes of log collectors: `Hash salt text` is SHA3-256,
/// `Sha2Hash salt text` SHA-256, both in hexadecimal.
pub struct TextTemplate(Template);

impl TextTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// Go's text.
    pub fn new(text: &str) -> Result<Self, String> {
        Template::with_hashes("template", text).map(TextTemplate)
    }

    /// The names it looks at, some perhaps repeatedly.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.uses.names.iter().map(String::as_str)
    }

    /// Whether it may look at any name.
    pub fn looks_at_all(&self) -> bool {
        self.0.uses.all
    }

    /// The text for these texts by name; of a name that is given twice the first counts, one that is missing is empty.
    ///
    /// # Errors
    /// What a function complained about.
    pub fn run(&self, line: &[u8], timestamp_ns: i64, texts: &[(&str, &str)]) -> Result<String, String> {
        let mut fields = Fields::default();
        for (name, text) in texts {
            fields.extract(name, text);
        }
        self.0.run(&Row { timestamp_ns, line: Cow::Borrowed(line) }, &fields)
    }
}

#[cfg(test)]
mod tests {
    use super::TextTemplate;

    fn check(template: &str, expected: &str) {
        let template = TextTemplate::new(template).unwrap();
        let texts = [("Value", "Some VALUE "), ("level", "WARN"), ("Entry", "the line")];
        assert_eq!(template.run(b"the line", 0, &texts).unwrap(), expected);
    }

    #[test]
    fn templates_of_texts() {
        check("{{ .Value | TrimSpace | ToLower }}", "some value");
        check(
            "{{ if eq .level \"WARN\" }}warning: {{ .Entry }}{{ else }}x{{ end }}{{ .missing }}",
            "warning: the line",
        );
        check("{{ printf \"%s-%d\" .level 5 }}", "WARN-5");
        check("{{ Sha2Hash \"\" \"abc\" }}", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        check("{{ Hash \"a\" \"bc\" }}", "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532");
        assert!(TextTemplate::new("{{ nonsense .Value }}").is_err());
    }
}
