//! Start times: `-30s-1mx2` is how long before (or after) its sample each began.

/// Milliseconds relative to the sample of each point; `None` for not known.
pub(crate) fn parse(text: &str) -> Vec<Option<i64>> {
    let mut out = Vec::new();
    for word in text.split_whitespace() {
        let (body, times) = match word.rsplit_once('x') {
            Some((body, times)) => (body, Some(times.parse::<usize>().unwrap())),
            None => (word, None),
        };
        if body == "_" {
            out.extend(vec![None; times.unwrap_or(1)]);
            continue;
        }
        // The second sign, if there is one, begins the step.
        let split = body.char_indices().skip(1).find(|(_, c)| "+-".contains(*c)).map_or(body.len(), |(at, _)| at);
        let (first, step) = body.split_at(split);
        let of = |text: &str| if text.is_empty() { 0 } else { super::duration(text.trim_start_matches('+')) };
        let (first, step) = (of(first), of(step));
        out.extend((0..=times.unwrap_or(0)).map(|i| Some(first + step * i as i64)));
    }
    out
}
