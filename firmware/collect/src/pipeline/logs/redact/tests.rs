//! What is a secret and what is none. The secrets here are made up.

use super::*;
use proptest::prelude::*;

fn of(config: &RedactConfig, text: &str) -> String {
    let redactor = Redactor::new(config).unwrap();
    let mut out = Vec::new();
    match redactor.redact(text.as_bytes(), &mut out) {
        Some(_) => String::from_utf8(out).unwrap(),
        None => text.to_owned(),
    }
}

fn redacted(text: &str) -> String {
    of(&RedactConfig::default(), text)
}

/// A text of letters and digits that no expression of a service would recognise in this file's source.
fn noise(length: usize) -> String {
    "a1B2c3D4e5F6g7H8i9J0".chars().cycle().take(length).collect()
}

#[test]
fn tokens() {
    let upper = "A1B2C3D4E5F6G7H8";
    for (prefix, body, kind) in [
        ("AKIA", upper.to_owned(), "aws_access_key"),
        ("ASIA", upper.to_owned(), "aws_access_key"),
        ("ghp_", noise(36), "github_token"),
        ("ghs_", noise(36), "github_token"),
        ("github_pat_", noise(82), "github_token"),
        ("glpat-", noise(20), "gitlab_token"),
        ("xoxb-", format!("123456789012-{}", noise(24)), "slack_token"),
        ("xapp-", format!("1-{}", noise(30)), "slack_token"),
        ("sk_live_", noise(24), "stripe_key"),
        ("rk_test_", noise(24), "stripe_key"),
        ("AIza", noise(35), "google_key"),
        ("ya29.", noise(40), "google_key"),
        ("sk-", noise(48), "service_key"),
        ("sk-proj-", noise(60), "service_key"),
        ("hf_", noise(34), "service_key"),
        ("npm_", noise(36), "service_key"),
    ] {
        let expected = format!("a \"<redacted:{kind}>\", b");
        assert_eq!(redacted(&format!("a \"{prefix}{body}\", b")), expected, "{prefix}");
        assert_eq!(redacted(&format!("{prefix}{body}")), format!("<redacted:{kind}>"), "{prefix}");
        let inside = format!("word{prefix}{body}");
        assert_eq!(redacted(&inside), inside, "no token inside a word: {prefix}");
    }
    let hook = format!("https://hooks.slack.com/services/T0000/B0000/{}", noise(24));
    assert_eq!(redacted(&hook), "https://hooks.slack.com/services/<redacted:slack_token>");
}

#[test]
fn credentials_of_headers_and_urls() {
    let jwt = format!("eyJ{}.eyJ{}.{}", noise(20), noise(40), noise(43));
    for (text, expected) in [
        (format!("token {jwt} x"), "token <redacted:jwt> x".to_owned()),
        (format!("Authorization: Bearer {}", noise(30)), "Authorization: Bearer <redacted:authorization>".to_owned()),
        (format!("sent bearer {}", noise(30)), "sent bearer <redacted:authorization>".to_owned()),
        (
            r#"{"authorization":"Basic dXNlcjpwYXNzd29yZA==","a":1}"#.to_owned(),
            r#"{"authorization":"Basic <redacted:authorization>","a":1}"#.to_owned(),
        ),
        ("-H 'Basic dXNlcjpwYXNzd29yZA=='".to_owned(), "-H 'Basic <redacted:authorization>'".to_owned()),
        (
            "postgres://app:s3cr%40t@db:5432/x?y".to_owned(),
            "postgres://app:<redacted:url_password>@db:5432/x?y".to_owned(),
        ),
        ("redis://:pw@host".to_owned(), "redis://:<redacted:url_password>@host".to_owned()),
        (
            "key -----BEGIN RSA PRIVATE KEY-----\\nMIIE\\n-----END RSA PRIVATE KEY----- end".to_owned(),
            "key <redacted:private_key> end".to_owned(),
        ),
        ("-----BEGIN OPENSSH PRIVATE KEY-----".to_owned(), "<redacted:private_key>".to_owned()),
    ] {
        assert_eq!(redacted(&text), expected);
    }
}

#[test]
fn fields_that_say_so() {
    for (text, expected) in [
        ("user=a password=hunter2 x", "user=a password=<redacted:password> x"),
        (r#"{"password":"a \"b","user":"c"}"#, r#"{"password":"<redacted:password>","user":"c"}"#),
        (r#"{"db_password" : "x y"}"#, r#"{"db_password" : "<redacted:password>"}"#),
        (r#"msg="{\"password\":\"x1\",\"n\":1}""#, r#"msg="{\"password\":\"<redacted:password>\",\"n\":1}""#),
        ("MYSQL_PASSWORD=abc", "MYSQL_PASSWORD=<redacted:password>"),
        ("password: hunter2", "password: <redacted:password>"),
        ("?user=a&passwd=b&c=d", "?user=a&passwd=<redacted:password>&c=d"),
        ("client_secret=abc", "client_secret=<redacted:password>"),
        ("api_key=0123456789abcdef0123", "api_key=<redacted:secret>"),
        (r#""apiKey": "0123456789abcdef0123""#, r#""apiKey": "<redacted:secret>""#),
        ("X-Api-Key: 0123456789abcdef0123", "X-Api-Key: <redacted:secret>"),
        ("access_token=0123456789abcdef", "access_token=<redacted:secret>"),
        (
            "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "aws_secret_access_key = <redacted:aws_secret_key>",
        ),
    ] {
        assert_eq!(redacted(text), expected);
    }
}

#[test]
fn what_is_no_secret_stays() {
    for text in [
        "Failed password for root from 1.2.3.4 port 22 ssh2",
        "password: required",
        "password=***** token=<none> secret=${SECRET}",
        r#"{"password":null,"token":"","secret":"***"}"#,
        "token: 512, max_tokens=4096, token_type=bearer",
        r#"Secret "kube-system/bootstrap-token-abc" not found secret="monitoring/grafana-7f9c""#,
        "secret=default-token-x7k2p",
        "pwd=/home/user",
        "PWD=/var/lib/a1b2c3d4e5f6",
        "Basic authentication failed, Bearer token missing; basic setup done",
        "https://example.com/a:b@c http://[::1]:80/",
        "authorization: required",
        "trace 4bf92f3577b34da6a3ce929d0e0e4736 span 00f067aa0ba902b7",
        "commit da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "at 2023-11-14T22:13:20.123456789Z ns 1700000000123456789 ms 1700000000123 us 1700000000123456",
        "blk_-1608999687919862906 blk_4611686018427387904",
        "uuid 550e8400-e29b-41d4-a716-446655440000",
        "tel 4111 1111 1111 1112 order 1234567890123456",
        "sk-learn-version-1.2.3-and-more-words-here task-0123456789012345678901",
        "eyJust a word. eyJ.eyJ.",
        "AKIAISSOMEWORDINCAPITALS ASIAPACIFICREGIONS1",
    ] {
        assert_eq!(redacted(text), text);
    }
}

#[test]
fn cards() {
    for (text, expected) in [
        ("card 4111111111111111.", "card <redacted:credit_card>."),
        ("card=5555555555554444,x", "card=<redacted:credit_card>,x"),
        ("4111 1111 1111 1111", "<redacted:credit_card>"),
        ("4111-1111-1111-1111 2023-11-14", "<redacted:credit_card> 2023-11-14"),
        ("amex 378282246310005 or 3782 822463 10005", "amex <redacted:credit_card> or <redacted:credit_card>"),
        ("\"n\":\"6011111111111117\"", "\"n\":\"<redacted:credit_card>\""),
        ("at 12:00:01 4111111111111111", "at 12:00:01 <redacted:credit_card>"),
    ] {
        assert_eq!(redacted(text), expected);
    }
}

#[test]
fn personal_data_if_asked_for() {
    let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
    let config = RedactConfig { also: names(&["email", "ipv4", "ipv6", "phone"]), not: names(&["password"]) };
    for (text, expected) in [
        ("mail a.b+c@example.co.uk now", "mail <redacted:email> now"),
        ("from 10.0.0.1:22 v1.2.3.4", "from <redacted:ipv4>:22 v1.2.3.4"),
        ("1.2.3.4.5 999.1.1.1", "1.2.3.4.5 999.1.1.1"),
        ("addr [2001:db8::1]:80 at 12:30:45", "addr [<redacted:ipv6>]:80 at 12:30:45"),
        ("call +49 30 1234567, offset +0100", "call <redacted:phone>, offset +0100"),
        ("password=x", "password=x"),
    ] {
        assert_eq!(of(&config, text), expected);
    }
    let wrong = RedactConfig { also: names(&["names"]), not: Vec::new() };
    assert!(Redactor::new(&wrong).unwrap_err().ends_with(": names"));
}

#[test]
fn fields_by_name_and_counts() {
    let redactor = Redactor::new(&RedactConfig::default()).unwrap();
    let mut out = Vec::new();
    assert_eq!(redactor.redact_field("db.password", b"x", &mut out).map(|n| n.get()), Some(1));
    assert_eq!(out, b"<redacted:password>");
    assert_eq!(redactor.redact_field("http.route", b"/login", &mut out), None);
    assert_eq!(redactor.redact(b"password=a passwd=b", &mut out).map(|n| n.get()), Some(2));
    assert_eq!(redactor.count(Kind::Password), 3);
}

/// Logs of sixteen real systems have no secret; where they are there, none is to be found.
#[test]
fn logs_of_real_systems_stay() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/bench/loghub");
    let Ok(systems) = std::fs::read_dir(corpus) else {
        eprintln!("SKIPPED logs of real systems: {corpus} is not there");
        return;
    };
    let redactor = Redactor::new(&RedactConfig::default()).unwrap();
    let (mut out, mut found) = (Vec::new(), Vec::new());
    for system in systems.flatten() {
        let Ok(files) = std::fs::read_dir(system.path()) else { continue };
        for file in files.flatten() {
            let text = std::fs::read(file.path()).unwrap();
            for line in text.split(|b| *b == b'\n') {
                if redactor.redact(line, &mut out).is_some() {
                    found.push(String::from_utf8_lossy(&out).into_owned());
                }
            }
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

proptest! {
    /// Any bytes: what was redacted once is not touched again, and what is around a secret stays.
    #[test]
    fn redacting_twice_is_redacting_once(
        before in prop::collection::vec(any::<u8>(), 0..60),
        secret in prop::sample::select(vec!["password=hunter2", "Bearer a1b2c3d4e5f6a7b8c9d0", "://u:p@h", "4111111111111111"]),
        after in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let redactor = Redactor::new(&RedactConfig::default()).unwrap();
        let text = [before.as_slice(), b" ", secret.as_bytes(), b" ", after.as_slice()].concat();
        let (mut once, mut twice) = (Vec::new(), Vec::new());
        if redactor.redact(&text, &mut once).is_some() {
            prop_assert!(redactor.redact(&once, &mut twice).is_none(), "{}", String::from_utf8_lossy(&twice));
            prop_assert!(once.ends_with(&after) || redactor.redact(&after, &mut twice).is_some());
        }
    }
}
