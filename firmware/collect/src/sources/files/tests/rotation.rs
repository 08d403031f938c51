//! Rotation of every kind, while it is read and while nobody reads.

use super::*;

#[test]
fn lines_are_read_from_the_end_on_and_new_files_from_the_beginning() {
    let mut world = World::new("*.log");
    world.append("a.log", "old\nhalf");
    world.start();
    world.append("a.log", " line\nnew\r\n");
    world.append("b.log", "first\n");
    world.until_lines(&["half line", "new", "first"]);
    world.stop();
    world.append("a.log", "while away\n");
    world.append("c.log", "born while away\n");
    world.start();
    world.until_lines(&["half line", "new", "first", "while away", "born while away"]);
}

#[test]
fn renamed_files_are_read_to_their_end() {
    let mut world = World::new("a.log");
    world.append("a.log", "one\n");
    world.config.start = FileStart::Beginning;
    world.start();
    world.until_lines(&["one"]);
    world.append("a.log", "two\n");
    fs::rename(world.path("a.log"), world.path("a.log.1")).unwrap();
    world.append("a.log.1", "three\n");
    world.append("a.log", "four\n");
    world.until_lines(&["one", "two", "three", "four"]);
    world.stop();
    // Rotated again while nobody reads; the middle one is found beside the other.
    world.append("a.log", "five\n");
    fs::rename(world.path("a.log.1"), world.path("a.log.2")).unwrap();
    fs::rename(world.path("a.log"), world.path("a.log.1")).unwrap();
    world.append("a.log", "six\n");
    world.start();
    world.until_lines(&["one", "two", "three", "four", "five", "six"]);
}

#[test]
fn copied_and_truncated_files_begin_anew_and_the_copy_is_read_on() {
    for include in ["a.log", "a.log*"] {
        let mut world = World::new(include);
        world.config.start = FileStart::Beginning;
        world.append("a.log", "one\ntwo\n");
        world.start();
        world.until_lines(&["one", "two"]);
        world.stop();
        world.append("a.log", "three\n");
        fs::copy(world.path("a.log"), world.path("a.log.1")).unwrap();
        fs::write(world.path("a.log"), "four\nlonger than everything before\n").unwrap();
        world.start();
        world.until_lines(&["one", "two", "three", "four", "longer than everything before"]);
        // And while it is read.
        fs::copy(world.path("a.log"), world.path("a.log.1")).unwrap();
        fs::write(world.path("a.log"), "").unwrap();
        world.until("it is noticed", |world| world.counted("bramble_file_truncations_total") >= 1);
        world.append("a.log", "five\n");
        world.until_lines(&["one", "two", "three", "four", "longer than everything before", "five"]);
    }
}

#[test]
fn compressed_files_are_read_once_if_they_were_not_before() {
    let mut world = World::new("a.log");
    world.config.start = FileStart::Beginning;
    world.append("a.log", "one\ntwo\n");
    world.start();
    world.until_lines(&["one", "two"]);
    world.stop();
    fs::write(world.path("a.log.1.gz"), gzip(b"one\ntwo\nthree\nlast without an end")).unwrap();
    fs::remove_file(world.path("a.log")).unwrap();
    world.append("a.log", "four\n");
    world.start();
    let all = ["one", "two", "three", "last without an end", "four"];
    world.until_lines(&all);
    world.stop();
    world.start();
    world.append("a.log", "five\n");
    world.until_lines(&[&all[..], &["five"]].concat());
}

#[test]
fn compressed_files_that_match_are_files() {
    let mut world = World::new("*");
    fs::write(world.path("old.gz"), gzip(b"before everything\n")).unwrap();
    world.append("x.log", "old\n");
    world.start();
    fs::write(world.path("new.gz"), gzip(b"came later\n")).unwrap();
    world.until_lines(&["came later"]);
    // What was read and is compressed in place is not read again.
    world.append("x.log", "seen\n");
    world.until_lines(&["came later", "seen"]);
    fs::write(world.path("x.log.gz"), gzip(b"old\nseen\n")).unwrap();
    fs::remove_file(world.path("x.log")).unwrap();
    world.append("end.log", "end\n");
    world.until_lines(&["came later", "seen", "end"]);
    world.stop();
    world.start();
    world.append("end.log", "more\n");
    world.until_lines(&["came later", "seen", "end", "more"]);
}

#[test]
fn removed_files_are_drained_and_their_inodes_may_serve_others() {
    let mut world = World::new("*.log");
    world.config.start = FileStart::Beginning;
    world.handles_max = 1;
    for round in 0..5 {
        world.append("a.log", format!("a {round} is different\n"));
        world.append("b.log", format!("b {round}\n"));
        if round == 0 {
            world.start();
        }
        world.until("both", |world| world.writer.lines().len() == (round + 1) * 2);
        fs::remove_file(world.path("a.log")).unwrap();
        fs::remove_file(world.path("b.log")).unwrap();
        if round == 2 {
            world.stop();
            world.start();
        }
    }
    let mut lines = world.writer.lines();
    lines.sort();
    lines.dedup();
    assert_eq!(lines.len(), 10);
}

#[test]
fn containers_write_lines_in_parts() {
    let mut world = World::new("pods/*/*/*.log");
    let directory = world.path("pods/shop_cart-7d9c8f6b5-x2v4z_0a-1/web");
    fs::create_dir_all(&directory).unwrap();
    world.config.start = FileStart::Beginning;
    let log = directory.join("0.log");
    append(&log, b"2016-10-06T00:17:09.5Z stdout P one \n2016-10-06T00:17:09.6Z stderr F two\n");
    world.start();
    world.until_lines(&["two"]);
    world.stop();
    append(&log, b"2016-10-06T00:17:09.7Z stdout F end\n");
    // Links as kubelets make them lead to the same file, which is read once.
    fs::create_dir(world.path("pods/x")).unwrap();
    std::os::unix::fs::symlink(&directory, world.path("pods/x/y")).unwrap();
    world.start();
    world.until_lines(&["two", "one end"]);
    let batches = world.writer.batches.lock();
    let labels: Vec<String> = batches.iter().flat_map(|b| b.streams()).map(|s| s.labels().to_string()).collect();
    let expected = |stream: &str| {
        format!(r#"{{app="cart", container="web", namespace="shop", pod="cart-7d9c8f6b5-x2v4z", stream="{stream}"}}"#)
    };
    assert_eq!(labels, [expected("stderr"), expected("stdout")]);
    assert_eq!(batches.last().unwrap().entry(0).timestamp_ns, 1_475_713_029_500_000_000);
}

#[test]
fn a_short_new_file_is_no_copy_of_the_one_whose_name_it_has() {
    let mut world = World::new("a.log");
    world.config.start = FileStart::Beginning;
    world.append("a.log", "line 1 first\nline 2\n");
    world.start();
    world.until_lines(&["line 1 first", "line 2"]);
    fs::rename(world.path("a.log"), world.path("a.log.1")).unwrap();
    world.append("a.log", "line 3\n");
    world.until_lines(&["line 1 first", "line 2", "line 3"]);
}

#[test]
fn a_file_in_the_place_of_one_that_was_truncated_is_read_once() {
    for _ in 0..20 {
        let mut world = World::new("a.log*");
        world.config.start = FileStart::Beginning;
        world.append("a.log", "one\n");
        world.start();
        world.until_lines(&["one"]);
        fs::copy(world.path("a.log"), world.path("a.log.1")).unwrap();
        OpenOptions::new().write(true).truncate(true).open(world.path("a.log")).unwrap();
        fs::remove_file(world.path("a.log")).unwrap();
        world.append("a.log", "two\nthree\n");
        world.until("the new file", |world| world.writer.lines().len() >= 3);
        std::thread::sleep(Duration::from_millis(120));
        world.until_lines(&["one", "two", "three"]);
    }
}
