//! Writes the seeds of posted logs and of syslog: `cargo run --example posted_seeds` in this directory.

use std::path::Path;

const POSTED: [(&str, &str); 6] = [
    (
        "envelope",
        r#"j{"resource":{"service":"beorn","host":"pi","env":"dev"},"records":[{"timestamp":"2026-11-21T06:00:00Z","severity":"ERROR","message":"it broke","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","labels":{"circuit_id":"C-17","n":1.5}},{"ts":1795240800123,"msg":"a\u00e4","level":30,"attributes":{"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01","a":{"b":[1]}}},7]}"#,
    ),
    (
        "resource_last",
        r#"j[{"logs":{"log":{"level":"warn"},"body":{"x":1}},"labels":{"team":"a"},"service.name":"x"},{"@timestamp":"soon"}]"#,
    ),
    ("lines", "l{\"message\":\"a\"}\n{\"message\":\n[{\"message\":\"b\",\"time\":\"1795240800.25\"}]\nnull\n"),
    ("text", "t<34>Nov 21 05:59:59 gate su[77]: 'su root' failed\r\nplain text\n"),
    (
        "syslog",
        r#"j{"message":"<165>1 2026-11-21T06:00:00.003Z h app 8710 ID47 [ex@1 traceId=\"ab\" k=\"\\]\"] text"}"#,
    ),
    ("sniffed", "?[{\"message\":\"a\"}]"),
];

const SYSLOG: [(&str, &str); 8] = [
    ("new", r#"<165>1 2026-11-21T07:00:00.003+01:00 h app 8710 ID47 [ex@1 iut="3" q="a \"b\" \] \\"][pri@1] text"#),
    ("mark", "<34>1 2026-11-21T06:00:00Z h su - - - \u{feff}'su root' failed"),
    ("nothing", "<0>1 - - - - - -"),
    ("old", "<34>Oct 11 22:14:15 mymachine su[77]: 'su root' failed\n"),
    ("old_year", "<30>*Nov 21 2026 06:00:00.250: h app: m"),
    ("iso", "<30>2026-11-21T06:00:00.5Z h app[1]: m\0"),
    ("file", "Nov 21 06:00:00 h cron[5]: (root) CMD (x)"),
    ("bare", "<14>a text alone"),
];

fn main() -> std::io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (target, seeds) in [("post_logs", POSTED.as_slice()), ("syslog", SYSLOG.as_slice())] {
        std::fs::create_dir_all(corpus.join(target))?;
        for (name, text) in seeds {
            std::fs::write(corpus.join(target).join(name), text)?;
        }
    }
    Ok(())
}
