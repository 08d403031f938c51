//! How metrics are translated: Prometheus' `otlp` settings, under its names.

/// What becomes of names that Prometheus' classic rules do not allow, and whether units and types are appended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Translation {
    /// Other characters become `_`; unit and type are appended.
    #[default]
    UnderscoreEscapingWithSuffixes,
    /// Other characters become `_`.
    UnderscoreEscapingWithoutSuffixes,
    /// Names stay as they are; unit and type are appended.
    NoUtf8EscapingWithSuffixes,
    /// Names stay as they are.
    NoTranslation,
}

impl Translation {
    /// All of them.
    pub const ALL: [Translation; 4] = [
        Translation::UnderscoreEscapingWithSuffixes,
        Translation::UnderscoreEscapingWithoutSuffixes,
        Translation::NoUtf8EscapingWithSuffixes,
        Translation::NoTranslation,
    ];

    /// Prometheus' name of it.
    pub fn as_str(self) -> &'static str {
        match self {
            Translation::UnderscoreEscapingWithSuffixes => "UnderscoreEscapingWithSuffixes",
            Translation::UnderscoreEscapingWithoutSuffixes => "UnderscoreEscapingWithoutSuffixes",
            Translation::NoUtf8EscapingWithSuffixes => "NoUTF8EscapingWithSuffixes",
            Translation::NoTranslation => "NoTranslation",
        }
    }

    /// Whether characters are replaced.
    pub(super) fn escapes(self) -> bool {
        matches!(self, Translation::UnderscoreEscapingWithSuffixes | Translation::UnderscoreEscapingWithoutSuffixes)
    }

    /// Whether unit and type are appended.
    pub(super) fn adds_suffixes(self) -> bool {
        matches!(self, Translation::UnderscoreEscapingWithSuffixes | Translation::NoUtf8EscapingWithSuffixes)
    }
}

/// Which resource attributes become labels of every series of the resource.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Promotion {
    /// These.
    Only(Vec<String>),
    /// All but these.
    AllBut(Vec<String>),
}

impl Promotion {
    pub(super) fn promotes(&self, key: &str) -> bool {
        match self {
            Promotion::Only(keys) => keys.iter().any(|k| k == key),
            Promotion::AllBut(keys) => !keys.iter().any(|k| k == key),
        }
    }
}

impl Default for Promotion {
    fn default() -> Self {
        Promotion::Only(Vec::new())
    }
}

/// Settings of the translation of metrics; the default is Prometheus' default.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MetricOptions {
    /// `translation_strategy`.
    pub translation: Translation,
    /// `promote_resource_attributes`, or `promote_all_resource_attributes` with `ignore_resource_attributes`.
    pub promotion: Promotion,
    /// Whether `target_info` also has the attributes that `job` and `instance` are made of.
    pub keep_identifying_resource_attributes: bool,
    /// Whether every series has its scope's name, version, schema and attributes as `otel_scope_*` labels.
    pub promote_scope_metadata: bool,
    /// Whether histograms with explicit bounds become native histograms with custom bounds.
    pub convert_histograms_to_nhcb: bool,
}
