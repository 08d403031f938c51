//! Tokens and what Loki's messages call them.

/// One token.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Token {
    End,
    Ident(String),
    Str(String),
    Number(f64),
    /// Nanoseconds, and the text.
    Duration(i64),
    /// Bytes, and the text.
    Bytes(u64),
    /// `[5m]`: nanoseconds.
    Range(i64),
    /// `--strict`, without the dashes.
    Flag(String),
    Punct(&'static str),
}

/// Punctuation, longest first.
pub(crate) const PUNCTUATION: [&str; 29] = [
    "|=", "|~", "|>", "!=", "!~", "!>", "=~", "==", ">=", "<=", "{", "}", "(", ")", ",", "|", "=", ">", "<", "+", "-",
    "*", "/", "%", "^", ".", "[", "]", "@",
];

/// Words that Loki's grammar knows when a parenthesis follows, and prints in capitals.
const FUNCTIONS: [&str; 35] = [
    "rate",
    "rate_counter",
    "count_over_time",
    "bytes_rate",
    "bytes_over_time",
    "avg_over_time",
    "sum_over_time",
    "min_over_time",
    "max_over_time",
    "stddev_over_time",
    "stdvar_over_time",
    "quantile_over_time",
    "first_over_time",
    "last_over_time",
    "absent_over_time",
    "vector",
    "sum",
    "avg",
    "max",
    "min",
    "count",
    "stddev",
    "stdvar",
    "bottomk",
    "topk",
    "approx_topk",
    "sort",
    "sort_desc",
    "label_replace",
    "bytes",
    "duration",
    "duration_seconds",
    "ip",
    "variants",
    "of",
];

/// Words of the grammar that are printed as they are.
const KEYWORDS: [&str; 27] = [
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "bool",
    "and",
    "or",
    "unless",
    "offset",
    "json",
    "logfmt",
    "regexp",
    "pattern",
    "unpack",
    "unwrap",
    "line_format",
    "label_format",
    "decolorize",
    "drop",
    "keep",
    "ip",
    "bytes",
    "duration",
    "duration_seconds",
    "distinct_",
];

impl Token {
    /// The name in messages. `called`: whether an opening parenthesis follows.
    pub(crate) fn name(&self, called: bool) -> String {
        match self {
            Token::End => "$end".to_owned(),
            Token::Ident(word) if called && FUNCTIONS.contains(&word.as_str()) => word.to_uppercase(),
            Token::Ident(word) if KEYWORDS.contains(&word.as_str()) => word.clone(),
            Token::Ident(_) => "IDENTIFIER".to_owned(),
            Token::Str(_) => "STRING".to_owned(),
            Token::Number(_) => "NUMBER".to_owned(),
            Token::Duration(_) => "DURATION".to_owned(),
            Token::Bytes(_) => "BYTES".to_owned(),
            Token::Range(_) => "RANGE".to_owned(),
            Token::Flag(_) => "PARSER_FLAG".to_owned(),
            Token::Punct(text) => (*text).to_owned(),
        }
    }
}
