//! Globs over paths, and finding the files that match without walking what cannot match.
//!
//! A pattern is walked component by component: a literal one is not looked for in its directory, `**` goes down at most
//! [`DEPTH_MAX`] levels, and directories on the way are remembered by device and inode, so that a link to a directory above ends
//! the walk there. Links are followed.

use globset::{GlobBuilder, GlobMatcher};
use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Levels of directories that `**` goes down.
const DEPTH_MAX: usize = 16;
/// Directories that one pattern visits at most.
const DIRECTORIES_MAX: usize = 20_000;

/// A glob that is none.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("glob {pattern:?}: {reason}")]
pub struct PatternError {
    /// The glob as given.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: String,
}

enum Part {
    Literal(String),
    Glob(Box<GlobMatcher>),
    /// `**`
    AnyDepth,
}

/// A glob.
pub(super) struct Pattern {
    whole: GlobMatcher,
    /// One list per way through braces that hold slashes.
    ways: Vec<Vec<Part>>,
}

fn compile(text: &str) -> Result<GlobMatcher, String> {
    let glob = GlobBuilder::new(text).literal_separator(true).build();
    glob.map(|glob| glob.compile_matcher()).map_err(|error| error.kind().to_string())
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Pattern, PatternError> {
        let error = |reason: String| PatternError { pattern: text.to_owned(), reason };
        if !text.starts_with('/') {
            return Err(error("not an absolute path".to_owned()));
        }
        let whole = compile(text).map_err(error)?;
        let ways = unfold(text).iter().map(|way| parts(way)).collect::<Result<_, _>>().map_err(error)?;
        Ok(Pattern { whole, ways })
    }

    pub(super) fn matches(&self, path: &Path) -> bool {
        self.whole.is_match(path)
    }

    /// Calls `found` for every path that matches and is no directory, and `directory` for every directory that was listed.
    pub(super) fn walk(&self, found: &mut dyn FnMut(PathBuf), directory: &mut dyn FnMut(&Path)) {
        for way in &self.ways {
            let mut walk = Walk { visited: HashSet::new(), found, directory };
            walk.step(Path::new("/"), way, 0);
        }
    }
}

fn parts(way: &str) -> Result<Vec<Part>, String> {
    let names = way.split('/').filter(|name| !name.is_empty() && *name != ".");
    names
        .map(|name| match name {
            "**" => Ok(Part::AnyDepth),
            name if name.contains(['*', '?', '[', '{', '\\']) => Ok(Part::Glob(Box::new(compile(name)?))),
            name => Ok(Part::Literal(name.to_owned())),
        })
        .collect()
}

/// The alternatives of braces that hold a slash, which no single component can match; other braces stay.
fn unfold(text: &str) -> Vec<String> {
    let Some((open, close)) = brace_with_slash(text) else { return vec![text.to_owned()] };
    let (Some(before), Some(inside), Some(after)) =
        (text.get(..open), text.get(open + 1..close), text.get(close + 1..))
    else {
        return vec![text.to_owned()];
    };
    inside.split(',').flat_map(|choice| unfold(&format!("{before}{choice}{after}"))).collect()
}

fn brace_with_slash(text: &str) -> Option<(usize, usize)> {
    let mut open = None;
    for (at, c) in text.char_indices() {
        match c {
            '{' => open = Some(at),
            '}' => {
                if let Some(open) = open.take()
                    && text.get(open..at).is_some_and(|inside| inside.contains('/'))
                {
                    return Some((open, at));
                }
            }
            _ => {}
        }
    }
    None
}

struct Walk<'a> {
    /// Directories on the way, with the component that is looked for in them.
    visited: HashSet<(u64, u64, usize)>,
    found: &'a mut dyn FnMut(PathBuf),
    directory: &'a mut dyn FnMut(&Path),
}

impl Walk<'_> {
    fn step(&mut self, at: &Path, parts: &[Part], depth: usize) {
        let Some((part, rest)) = parts.split_first() else {
            // `**` at the end: whatever is below.
            return;
        };
        if let Part::Literal(name) = part {
            return self.enter(at.join(name), rest, depth);
        }
        let Ok(metadata) = std::fs::metadata(at) else { return };
        let is_new = self.visited.insert((metadata.dev(), metadata.ino(), parts.len()));
        if !is_new || self.visited.len() > DIRECTORIES_MAX {
            return;
        }
        let Ok(entries) = std::fs::read_dir(at) else { return };
        (self.directory)(at);
        if matches!(part, Part::AnyDepth) && !rest.is_empty() {
            // No directory at all.
            self.step(at, rest, depth);
        }
        for entry in entries.flatten() {
            match part {
                Part::Glob(glob) if glob.is_match(Path::new(&entry.file_name())) => {
                    self.enter(entry.path(), rest, depth);
                }
                Part::AnyDepth if is_directory(&entry) => self.descend(&entry.path(), parts, depth),
                Part::AnyDepth if rest.is_empty() => (self.found)(entry.path()),
                _ => {}
            }
        }
    }

    fn descend(&mut self, path: &Path, parts: &[Part], depth: usize) {
        if depth < DEPTH_MAX {
            self.step(path, parts, depth + 1);
        }
    }

    fn enter(&mut self, path: PathBuf, rest: &[Part], depth: usize) {
        if rest.is_empty() { (self.found)(path) } else { self.step(&path, rest, depth) }
    }
}

fn is_directory(entry: &std::fs::DirEntry) -> bool {
    match entry.file_type() {
        Ok(kind) if kind.is_symlink() => std::fs::metadata(entry.path()).is_ok_and(|metadata| metadata.is_dir()),
        Ok(kind) => kind.is_dir(),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walked(root: &Path, pattern: &str) -> Vec<String> {
        let pattern = Pattern::parse(&format!("{}/{pattern}", root.display())).unwrap();
        let mut paths = Vec::new();
        pattern.walk(&mut |path| paths.push(path), &mut |_| {});
        for path in &paths {
            assert!(pattern.matches(path), "{path:?}");
        }
        let mut names: Vec<String> =
            paths.iter().map(|path| path.strip_prefix(root).unwrap().display().to_string()).collect();
        names.sort();
        names.dedup();
        names
    }

    #[test]
    fn files_are_found() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        for file in ["a.log", "b.txt", "x/c.log", "x/y/d.log", "x/y/e.err", "z/f.log"] {
            std::fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
            std::fs::write(root.join(file), "").unwrap();
        }
        assert_eq!(walked(root, "*.log"), ["a.log"]);
        assert_eq!(walked(root, "**/*.log"), ["a.log", "x/c.log", "x/y/d.log", "z/f.log"]);
        assert_eq!(walked(root, "x/**"), ["x/c.log", "x/y/d.log", "x/y/e.err"]);
        assert_eq!(walked(root, "*/*.log"), ["x/c.log", "z/f.log"]);
        assert_eq!(walked(root, "x/y/*.{log,err}"), ["x/y/d.log", "x/y/e.err"]);
        assert_eq!(walked(root, "{x/y,z}/*.log"), ["x/y/d.log", "z/f.log"]);
        assert_eq!(walked(root, "a.log"), ["a.log"]);
        assert_eq!(walked(root, "none/*.log"), Vec::<String>::new());
    }

    #[test]
    fn loops_of_links_end() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        std::fs::write(root.join("a/b/x.log"), "").unwrap();
        std::os::unix::fs::symlink(root, root.join("a/b/up")).unwrap();
        std::os::unix::fs::symlink("self.log", root.join("self.log")).unwrap();
        std::os::unix::fs::symlink(root.join("a/b/x.log"), root.join("link.log")).unwrap();
        assert_eq!(walked(root, "**/*.log"), ["a/b/x.log", "link.log", "self.log"]);
    }
}
