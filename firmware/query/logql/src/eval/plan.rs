//! What of a pipeline can be known before it runs: which labels it looks at, whether it looks at lines at all, and what
//! the store may be told so that it reads less.

use super::fields::{PRESERVE_ERROR, SUFFIX, Wanted};
use super::label_test::LabelFilter;
use super::pipeline::{Pipeline, Source, Step};
use super::template::Uses;
use crate::syntax::NameTest;
use bramble_signal::{MatchOp, Matcher};
use bramble_storage::Mention;

/// Hints for a selection; see [`LogSelect`](bramble_storage::LogSelect).
#[derive(Default)]
pub(crate) struct Hints {
    pub(crate) fields: Vec<Matcher>,
    /// Equal matchers behind a parser.
    mentions: Vec<Matcher>,
}

impl Hints {
    pub(crate) fn mentions(&self) -> Vec<Mention<'_>> {
        self.mentions.iter().map(|m| Mention { name: &m.name, text: &m.value }).collect()
    }
}

/// Adds the names; `false` when it may be any.
fn template_names<'p>(uses: &'p Uses, out: &mut Vec<&'p str>) -> bool {
    out.extend(uses.names.iter().map(String::as_str));
    !uses.all
}

impl Pipeline {
    /// The labels that decide what becomes of a row, and `more`; `None` when that may be any.
    pub(crate) fn wanted<'p>(&'p self, more: impl IntoIterator<Item = &'p str>) -> Option<Wanted> {
        let mut names: Vec<&str> = more.into_iter().collect();
        for step in &self.steps {
            match step {
                Step::Label(filter) => filter.names(&mut names),
                Step::LineFormat(template) if !template_names(&template.uses, &mut names) => return None,
                Step::LabelFormat(formats) => {
                    for (_, source) in formats {
                        match source {
                            Source::Label(name) => names.push(name),
                            Source::Template(template) if !template_names(&template.uses, &mut names) => return None,
                            Source::Template(_) => {}
                        }
                    }
                }
                Step::Drop(tests) | Step::Keep(tests) => {
                    names.extend(tests.iter().map(|t| match t {
                        NameTest::Name(name) => name.as_str(),
                        NameTest::Match(m) => m.name.as_str(),
                    }));
                }
                _ => {}
            }
        }
        Some(Wanted::new(names))
    }

    /// Whether rows with the same labels fare the same, whatever their lines and times.
    pub(crate) fn by_labels(&self) -> bool {
        self.steps.iter().all(|step| match step {
            Step::Label(_) | Step::Drop(_) | Step::Keep(_) => true,
            Step::LabelFormat(formats) => formats.iter().all(|(_, source)| match source {
                Source::Label(_) => true,
                Source::Template(template) => !template.uses.row,
            }),
            _ => false,
        })
    }

    /// Whether rows may leave with an error that is to be kept, and with it all their labels.
    pub(crate) fn keeps_errors(&self) -> bool {
        self.steps.iter().any(|step| match step {
            Step::LabelFormat(formats) => formats.iter().any(|(target, _)| target == PRESERVE_ERROR),
            _ => false,
        })
    }

    /// Whether a stage may reject rows that the store gives.
    pub(crate) fn rejects(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Line(_) | Step::Label(_)))
    }

    /// Whether there is more to a row than deciding whether it stays.
    pub(crate) fn parses(&self) -> bool {
        self.steps.iter().any(|step| {
            matches!(step, Step::Json | Step::Logfmt { .. } | Step::Regexp(..) | Step::Pattern(_) | Step::Unpack)
        })
    }

    /// What the store may be told.
    pub(crate) fn hints(&self) -> Hints {
        let mut hints = Hints::default();
        // Labels that a stage before may have made; `None` for a stage that may have made any.
        let (mut parsed, mut verbatim) = (false, true);
        for step in &self.steps {
            match step {
                Step::Label(filter) if !parsed => filter.conditions(&mut |m| {
                    if plain(m) {
                        hints.fields.push(m.clone());
                    }
                }),
                Step::Label(filter) if verbatim => filter.conditions(&mut |m| {
                    // What is not UTF-8 in a line is another text in the label.
                    if plain(m) && m.op == MatchOp::Equal && !m.value.is_empty() && !m.value.contains('\u{fffd}') {
                        hints.mentions.push(m.clone());
                    }
                }),
                Step::Label(_) | Step::Line(_) => {}
                Step::Json
                | Step::JsonPaths(_)
                | Step::Logfmt { .. }
                | Step::LogfmtKeys { .. }
                | Step::Regexp(..)
                | Step::Pattern(_)
                | Step::Unpack => parsed = true,
                // These make labels, or lines, of what stands in none.
                Step::LineFormat(_) | Step::LabelFormat(_) | Step::Decolorize => (parsed, verbatim) = (true, false),
                // A label that is gone is one that a filter sees as empty.
                Step::Drop(_) | Step::Keep(_) => parsed = true,
            }
        }
        hints
    }
}

/// Whether the test is on a name that the store knows as the query does.
fn plain(m: &Matcher) -> bool {
    !m.name.starts_with("__") && !m.name.ends_with(SUFFIX)
}

impl LabelFilter {
    /// Adds the names of all labels looked at.
    pub(crate) fn names<'p>(&'p self, out: &mut Vec<&'p str>) {
        match self {
            LabelFilter::Match(m) => out.push(&m.name),
            LabelFilter::Compare { name, .. } | LabelFilter::Ip { name, .. } => out.push(name),
            LabelFilter::And(a, b) | LabelFilter::Or(a, b) => {
                a.names(out);
                b.names(out);
            }
        }
    }

    /// Calls `each` with the matchers that every row that passes fulfils.
    fn conditions<'p>(&'p self, each: &mut dyn FnMut(&'p Matcher)) {
        match self {
            LabelFilter::Match(m) => each(m),
            LabelFilter::And(a, b) => {
                a.conditions(each);
                b.conditions(each);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::pipeline::Pipeline;
    use crate::{Expr, parse};

    fn pipeline(query: &str) -> Pipeline {
        let Ok(Expr::Log(log)) = parse(query) else { panic!("{query}") };
        Pipeline::new(&log).unwrap()
    }

    #[test]
    fn what_is_looked_at() {
        let wanted = |q: &str| pipeline(q).wanted(["x"]).map(|w| w.names().collect::<Vec<_>>().join(" "));
        assert_eq!(wanted(r#"{a="b"} | json | l > 5 or (m="x" and n=ip("1.2.3.4"))"#).unwrap(), "l m n x");
        assert_eq!(wanted(r#"{a="b"} | json | line_format "{{.p}} {{if .q}}{{end}}" "#).unwrap(), "p q x");
        assert_eq!(
            wanted(r#"{a="b"} | json | label_format r=s, t="{{.u}}" | keep app_extracted"#).unwrap(),
            "app app_extracted s u x"
        );
        assert_eq!(wanted(r#"{a="b"} | json | line_format "{{.}}""#), None);
        assert_eq!(wanted(r#"{a="b"} | json | line_format "{{range $k, $v := .}}{{$k}}{{end}}""#), None);
    }

    #[test]
    fn what_depends_on_labels_alone() {
        let by_labels = |q: &str| pipeline(q).by_labels();
        assert!(by_labels(r#"{a="b"} |= "x" | user="u" | drop y | label_format z="{{.user}}""#));
        assert!(!by_labels(r#"{a="b"} | json"#) && !by_labels(r#"{a="b"} | label_format z="{{__line__}}""#));
    }

    #[test]
    fn hints() {
        let hints = |q: &str| {
            let hints = pipeline(q).hints();
            let fields: Vec<String> = hints.fields.iter().map(|m| format!("{}{}{}", m.name, m.op, m.value)).collect();
            let mentions: Vec<_> = hints.mentions().iter().map(|m| format!("{}:{}", m.name, m.text)).collect();
            (fields.join(","), mentions.join(","))
        };
        assert_eq!(
            hints(r#"{a="b"} | user="u", n > 5 | json | id="x y" and (p="1" or q="2") | r!="s""#),
            ("user=u".into(), "id:x y".into())
        );
        assert_eq!(hints(r#"{a="b"} | json | label_format id=p | id="x""#), (String::new(), String::new()));
        assert_eq!(hints(r#"{a="b"} | drop user | user="u""#), (String::new(), "user:u".into()));
    }
}
