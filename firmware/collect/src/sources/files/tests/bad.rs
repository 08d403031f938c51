//! Files that are no good.

use super::*;
use std::os::unix::fs::PermissionsExt;

#[test]
fn endless_lines_are_cut_and_binary_ones_are_kept() {
    let mut world = World::new("*.log");
    world.config.start = FileStart::Beginning;
    world.config.line_bytes_max = 300;
    world.append("a.log", "x".repeat(100_000));
    world.start();
    world.until("the cut", |world| world.writer.lines() == ["x".repeat(300)]);
    world.stop();
    world.append("a.log", "still the same line\nnext\nzero\0byte\nplain\n");
    world.append("a.log", [&b"\x00\xff"[..], b"\n"].concat());
    world.start();
    world.until("the others", |world| world.writer.lines().len() == 5);
    assert_eq!(world.writer.lines()[1..3], ["next", "zero\0byte"]);
    world.until("counters", |world| world.counted("bramble_file_lines_binary_total") == 2);
}

#[test]
fn what_cannot_be_read_is_told_and_tried_again() {
    let mut world = World::new("**/*.log");
    world.config.start = FileStart::Beginning;
    fs::create_dir(world.path("d")).unwrap();
    std::os::unix::fs::symlink(world.root.path(), world.path("d/loop")).unwrap();
    std::os::unix::fs::symlink("self.log", world.path("self.log")).unwrap();
    world.append("d/a.log", "good\n");
    fs::write(world.path("broken.log"), "secret\n").unwrap();
    fs::set_permissions(world.path("broken.log"), fs::Permissions::from_mode(0o000)).unwrap();
    world.append("gone.log.gz", "no gzip at all");
    world.config.include.push(format!("{}/*.gz", world.root.path().display()));
    world.start();
    // Who may do everything may read everything.
    let readable = fs::File::open(world.path("broken.log")).is_ok();
    world.until("good lines", |world| world.writer.lines().contains(&"good".to_owned()));
    world.until("errors are shown", |world| {
        let status = world.life.as_ref().unwrap().1.status();
        let bad = status.iter().filter(|file| file.state == "unreadable").count();
        bad == if readable { 1 } else { 2 } && status.iter().any(|file| file.state == "tailed")
    });
    assert!(world.counted("bramble_file_errors_total") >= 1);
    fs::set_permissions(world.path("broken.log"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(world.path("gone.log.gz"), gzip(b"whole now\n")).unwrap();
    world.until_lines(&["good", "secret", "whole now"]);
}

#[test]
fn equal_lines_have_times_of_their_own() {
    let mut world = World::new("*.log");
    world.config.start = FileStart::Beginning;
    world.append("a.log", "same\n".repeat(10_000));
    world.start();
    world.until("all", |world| world.writer.lines().len() == 10_000);
    let batches = world.writer.batches.lock();
    let mut times: Vec<i64> =
        batches.iter().flat_map(|batch| (0..batch.entry_count()).map(|at| batch.entry(at).timestamp_ns)).collect();
    times.sort_unstable();
    times.dedup();
    assert_eq!(times.len(), 10_000);
}

#[test]
fn other_encodings_become_utf_8() {
    let mut world = World::new("*.log");
    world.config.start = FileStart::Beginning;
    world.config.encoding = "latin1".to_owned();
    let wide: Vec<u8> = "\u{feff}wide ö\nzwei\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    world.append("wide.log", &wide);
    world.append("latin.log", b"gr\xfc\xdf\n");
    world.start();
    world.until_lines(&["wide ö", "zwei", "grüß"]);
}

#[test]
fn targets_come_and_go() {
    let mut world = World::new("a.log");
    world.config.start = FileStart::Beginning;
    world.append("a.log", "one\n");
    world.start();
    world.until_lines(&["one"]);
    let files = world.life.as_ref().unwrap().1.clone();
    files.set_targets("test", vec![]).unwrap();
    world.until("it is closed", |_| files.status().is_empty());
    world.append("a.log", "two\n");
    let labels = BTreeMap::from([("env".to_owned(), "dev".to_owned())]);
    let config = FilesConfig { labels, ..world.config.clone() };
    let target =
        |config: &FilesConfig| FileTarget { config: config.clone(), pipeline: LogPipeline::compile(&[]).unwrap() };
    files.set_targets("other", vec![target(&config)]).unwrap();
    world.until_lines(&["one", "two"]);
    assert!(files.set_targets("other", vec![target(&FilesConfig::default())]).is_err());
    world.append("a.log", "three\n");
    world.until_lines(&["one", "two", "three"]);
    let batches = world.writer.batches.lock();
    assert_eq!(batches.last().unwrap().stream(0).labels().to_string(), r#"{env="dev"}"#);
}
