use super::*;
use proptest::prelude::*;

/// 2026-11-21T06:00:00Z.
const NOW: i64 = 1_795_240_800_000_000_000;
const DAY: i64 = 86_400_000_000_000;

fn shown(line: &str) -> Option<String> {
    let found = parse(line.as_bytes(), NOW)?;
    let text = |text: Option<&str>| text.unwrap_or("-").to_owned();
    let values = |element: Element<'_>| {
        let values = element.values().map(|(name, value)| format!(" {name}={value}"));
        format!("[{}{}]", element.id, values.collect::<String>())
    };
    let priority = found.priority.map(|p| format!("{}.{}", p.facility_name(), p.severity_name()));
    Some(format!(
        "{} {} {} {} {} {} {}|{}",
        text(priority.as_deref()),
        found.timestamp_ns.map_or("-".to_owned(), |ns| format!("{:+.3}", (ns - NOW) as f64 / 1e9)),
        text(found.host),
        text(found.app),
        text(found.procid),
        text(found.msgid),
        found.structured_data.elements().map(values).collect::<String>(),
        String::from_utf8_lossy(found.message)
    ))
}

#[test]
fn headers_of_version_1() {
    for (line, wanted) in [
        (
            "<34>1 2026-11-21T06:00:00.003Z mymachine.example.com su - ID47 - \u{feff}'su root' failed",
            "auth.crit +0.003 mymachine.example.com su - ID47 |'su root' failed",
        ),
        (
            r#"<165>1 2026-11-21T07:00:00+01:00 h app 8710 - [ex@32473 iut="3" q="a \"b\" \] \\ \n"][pri@1 class="high"] text"#,
            r#"local4.notice +0.000 h app 8710 - [ex@32473 iut=3 q=a "b" ] \ \n][pri@1 class=high]|text"#,
        ),
        ("<0>1 - - - - - -", "kern.emerg - - - - - |"),
        ("<13>1 2026-11-21T06:00:00Z h a 1 m [x@1]", "user.notice +0.000 h a 1 m [x@1]|"),
        ("<13>1 2026-11-21T06:00:00Z h a 1 m no structured data", "user.notice +0.000 h a 1 m |no structured data"),
        ("<13>1 2026-11-21T06:00:00Z h a 1 m [x@1 a=\"open", "user.notice +0.000 h a 1 m |[x@1 a=\"open"),
        // Without a priority all must be there.
        ("1 2026-11-21T06:00:00Z h a 1 m - text\r\n", "- +0.000 h a 1 m |text"),
    ] {
        assert_eq!(shown(line).as_deref(), Some(wanted), "{line}");
    }
}

#[test]
fn old_headers() {
    for (line, wanted) in [
        (
            "<34>Nov 20 06:00:00 mymachine su: 'su root' failed",
            "auth.crit -86400.000 mymachine su - - |'su root' failed",
        ),
        ("<34>Nov  1 06:00:00 h su[77]: x: y", "auth.crit -1728000.000 h su 77 - |x: y"),
        ("<30>Nov 21 06:00:01 dhcpd[9]: local socket", "daemon.info +1.000 - dhcpd 9 - |local socket"),
        ("<30>Nov 21 06:00:00.250 fe80::1 app: m", "daemon.info +0.250 fe80::1 app - - |m"),
        ("<30>Nov 21 2026 06:00:00 h app: m", "daemon.info +0.000 h app - - |m"),
        ("<30>*Nov 21 06:00:00 2026 h app: m", "daemon.info +0.000 h app - - |m"),
        ("<30>2026-11-21T06:00:00.5Z h app[1]: m", "daemon.info +0.500 h app 1 - |m"),
        ("<30>Nov 21 06:00:00 h no tag here", "daemon.info +0.000 h - - - |no tag here"),
        ("<30>Nov 21 06:00:00", "daemon.info +0.000 - - - - |"),
        ("<14>a text alone", "user.info - - - - - |a text alone"),
        ("<191>", "local7.debug - - - - - |"),
        ("Nov 21 06:00:00 h cron[5]: (root) CMD (x)", "- +0.000 h cron 5 - |(root) CMD (x)"),
        ("2026-11-21T06:00:00+00:00 h cron[5]: m", "- +0.000 h cron 5 - |m"),
    ] {
        assert_eq!(shown(line).as_deref(), Some(wanted), "{line}");
    }
}

#[test]
fn what_is_no_syslog_stays_alone() {
    for line in [
        "",
        "an error",
        "<b>bold</b>",
        "<>x",
        "<192>x",
        "<1234>x",
        "<-1>x",
        "{\"a\":\"<34>1\"}",
        "level=info msg=\"<34>x\"",
        "2026-11-21T06:00:00Z INFO main: starting",
        "2026-11-21T06:00:00Z h app - text",
        "1 2026-11-21T06:00:00Z only five words",
        "Nov 21 06:00:00 something happened",
        "Nov 21 06:00:00 warning: no host",
        "Nov 31 06:00:00 h app: m",
        "May the force be with you: x",
    ] {
        assert_eq!(shown(line), None, "{line}");
    }
}

#[test]
fn a_year_that_is_not_there_is_the_nearest() {
    let at = |text: &str, now: i64| parse(format!("<1>{text} h a: m").as_bytes(), now).unwrap().timestamp_ns.unwrap();
    let new_year = NOW + 41 * DAY - 6 * 3_600_000_000_000;
    assert_eq!(at("Dec 31 23:59:59", new_year + 5), new_year - 1_000_000_000);
    assert_eq!(at("Jan  1 00:00:01", new_year - 5), new_year + 1_000_000_000);
    // 2028 is the next year that has one.
    assert_eq!(at("Feb 29 00:00:00", NOW), parse_rfc3339("2028-02-29T00:00:00Z").unwrap());
    assert_eq!(at("Nov 21 06:00:00", NOW - 100 * DAY), NOW);
    assert_eq!(at("Jan  1 00:00:00", 0), 0);
    for now in [i64::MIN, i64::MAX] {
        let _ = parse(b"<1>Jan  1 00:00:00 h a: m", now);
    }
}

#[test]
fn bytes_that_are_no_text_are_kept_in_messages_only() {
    let line = parse(b"<34>1 2026-11-21T06:00:00Z h a - - - \xff\xfe", NOW).unwrap();
    assert_eq!((line.app, line.message), (Some("a"), &b"\xff\xfe"[..]));
    let line = parse(b"<34>1 2026-11-21T06:00:00Z \xff a - - - m", NOW).unwrap();
    assert_eq!((line.app, line.has_header), (None, false));
}

#[test]
fn severities_have_levels() {
    let levels: Vec<&str> = (0..8).map(|number| Priority::new(number).unwrap().level()).collect();
    assert_eq!(levels, ["fatal", "critical", "critical", "error", "warn", "info", "info", "debug"]);
    assert_eq!((level_of_severity(8), Priority::new(192)), (None, None));
}

fn escaped(value: &str) -> String {
    value.chars().flat_map(|c| if "\"\\]".contains(c) { vec!['\\', c] } else { vec![c] }).collect()
}

proptest! {
    #[test]
    fn any_bytes_are_judged(line in prop::collection::vec(any::<u8>(), 0..120), near in "<?[0-9]{0,3}>?1? ?[A-Za-z0-9:\\[\\]=\"\\\\ .-]{0,80}", now: i64) {
        for line in [line.as_slice(), near.as_bytes()] {
            if let Some(found) = parse(line, now) {
                prop_assert!(line.windows(found.message.len().max(1)).any(|w| w == found.message) || found.message.is_empty());
                for element in found.structured_data.elements() {
                    let _ = element.values().count();
                }
            }
        }
    }

    #[test]
    fn what_is_written_is_read(
        pri in 0u8..192,
        time in prop::option::of(0i64..4_000_000_000),
        words in prop::array::uniform4("[!-~]{1,32}"),
        data in prop::collection::vec(("[a-zA-Z@0-9]{1,20}", prop::collection::vec(("[a-zA-Z0-9.]{1,10}", "[^\\p{Cc}]{0,20}"), 0..3)), 0..3),
        message in "[ -~äö]{0,60}",
    ) {
        let message = message.trim().to_owned();
        let shown_time = time.map_or("-".to_owned(), |seconds| {
            let (days, rest) = (seconds / 86_400, seconds % 86_400);
            let (year, month, day) = date(days);
            format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
        });
        let elements: String = data.iter().map(|(id, values)| {
            let values: String = values.iter().map(|(n, v)| format!(" {n}=\"{}\"", escaped(v))).collect();
            format!("[{id}{values}]")
        }).collect();
        let shown_data = if elements.is_empty() { "-" } else { &elements };
        let [host, app, procid, msgid] = &words;
        let line = format!("<{pri}>1 {shown_time} {host} {app} {procid} {msgid} {shown_data} {message}");
        let found = parse(line.as_bytes(), NOW).unwrap();
        let given = |word: &'_ String| Some(word.clone()).filter(|w| w != "-");
        prop_assert_eq!(found.priority.map(|p| p.facility() * 8 + p.severity()), Some(pri));
        prop_assert_eq!(found.timestamp_ns, time.map(|s| s * 1_000_000_000));
        for (got, wanted) in [found.host, found.app, found.procid, found.msgid].into_iter().zip(&words) {
            prop_assert_eq!(got.map(str::to_owned), given(wanted));
        }
        prop_assert_eq!(found.message, message.as_bytes());
        let read: Vec<(String, Vec<(String, String)>)> = found.structured_data.elements().map(|element| {
            (element.id.to_owned(), element.values().map(|(n, v)| (n.to_owned(), v.into_owned())).collect())
        }).collect();
        prop_assert_eq!(read, data);
    }
}

/// Year, month and day of a day since the epoch, found by trying.
fn date(days: i64) -> (i64, i64, i64) {
    let from = |year, month| crate::loki::json::days_from_epoch(year, month, 1);
    let year = (1970..2120).rev().find(|&year| from(year, 1) <= days).unwrap();
    let month = (1..=12).rev().find(|&month| from(year, month) <= days).unwrap();
    (year, month, days - from(year, month) + 1)
}

#[test]
fn a_process_id_is_no_text_with_line_breaks() {
    let line = parse(b"<34>Nov  1 06:00:00 h su[7\n\0\0 7]: x", 0).unwrap();
    assert_eq!(line.procid, None);
    let line = parse(b"<34>Nov  1 06:00:00 h su[7\n7]: x", 0).unwrap();
    assert_eq!((line.procid, line.message.ends_with(b": x")), (None, true));
}

#[test]
fn a_tag_with_a_process_needs_no_colon() {
    // As rsyslog 8.2512 sends on in its traditional format what came by RFC 5424.
    let line = parse(b"<27>Nov 21 23:34:19 router udp-old[3] m3 by udp-old", 1_795_000_000_000_000_000).unwrap();
    assert_eq!((line.host, line.app, line.procid), (Some("router"), Some("udp-old"), Some("3")));
    assert_eq!((line.message, line.is_local_time), (&b"m3 by udp-old"[..], true));
    let iso = parse(b"<27>1 2026-11-21T23:34:19.213892Z router udp-new 3 - - m3 by udp-new\n", 0).unwrap();
    assert_eq!((iso.app, iso.message, iso.is_local_time), (Some("udp-new"), &b"m3 by udp-new"[..], false));
}
