//! Words of a line of shell, as far as they are said in it: nothing is run or looked up.

/// A word; `None` when the shell would put something else in its place (`$…`, backquotes).
pub(super) type Word = Option<String>;

/// Words of `line`. What begins with an operator of the shell (`;`, `|`, `&`, `<`, `>`, parentheses) is split off; a quote
/// that does not end takes the rest.
pub(super) fn words(line: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut word: Option<(String, bool)> = None;
    let mut characters = line.chars().peekable();
    let mut end = |word: &mut Option<(String, bool)>| {
        if let Some((text, known)) = word.take() {
            words.push(known.then_some(text));
        }
    };
    while let Some(character) = characters.next() {
        match character {
            ' ' | '\t' => end(&mut word),
            ';' | '|' | '&' | '<' | '>' | '(' | ')' => {
                end(&mut word);
                word = Some((character.to_string(), true));
                end(&mut word);
            }
            '#' if word.is_none() => break,
            '\'' => {
                let (text, _) = word.get_or_insert((String::new(), true));
                text.extend(characters.by_ref().take_while(|c| *c != '\''));
            }
            '"' => {
                let (text, known) = word.get_or_insert((String::new(), true));
                while let Some(inside) = characters.next().filter(|c| *c != '"') {
                    match inside {
                        '\\' => match characters.next() {
                            Some(escaped @ ('"' | '\\' | '$' | '`')) => text.push(escaped),
                            Some(other) => text.extend(['\\', other]),
                            None => text.push('\\'),
                        },
                        '$' | '`' => *known = false,
                        plain => text.push(plain),
                    }
                }
            }
            '\\' => {
                let (text, _) = word.get_or_insert((String::new(), true));
                text.extend(characters.next());
            }
            '$' | '`' => word.get_or_insert((String::new(), true)).1 = false,
            plain => word.get_or_insert((String::new(), true)).0.push(plain),
        }
    }
    end(&mut word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_are_what_the_line_says() {
        let known = |line: &str| words(line).into_iter().map(|word| word.unwrap_or("?".to_owned())).collect::<Vec<_>>();
        assert_eq!(known(r#"a 'b c'  "d \" e" f\ g"#), ["a", "b c", "d \" e", "f g"]);
        assert_eq!(known(r#"set 'it'"'"'s' # more"#), ["set", "it's"]);
        assert_eq!(known("echo $HOME \"x$y\" '$z' `w`"), ["echo", "?", "?", "$z", "?"]);
        assert_eq!(known("echo a>/etc/b;c"), ["echo", "a", ">", "/etc/b", ";", "c"]);
        assert_eq!(known("'open"), ["open"]);
        assert_eq!(known("''"), [""]);
    }

    proptest! {
        #[test]
        fn any_line_has_words(line in "\\PC{0,200}") {
            words(&line);
        }

        /// What Imager quotes comes back.
        #[test]
        fn quoting_is_undone(text in "[ -~]{0,40}") {
            let quoted = format!("'{}'", text.replace('\'', "'\"'\"'"));
            prop_assert_eq!(words(&quoted), [Some(text)]);
        }
    }
}
