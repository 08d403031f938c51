//! `/proc/meminfo` and the interesting part of `/proc/vmstat`.

use super::emit::Emitter;

/// All of meminfo: `Active(anon):  5 kB` is `node_memory_Active_anon_bytes`; counts without a unit keep their name.
pub(super) fn meminfo(text: &str, emit: &mut Emitter<'_>) {
    let mut name = String::new();
    for line in text.lines() {
        let Some((key, rest)) = line.split_once(':') else { continue };
        let mut fields = rest.split_ascii_whitespace();
        let Some(value) = fields.next().and_then(|field| field.parse::<f64>().ok()) else { continue };
        name.clear();
        name.push_str("node_memory_");
        for c in key.trim().chars() {
            match c {
                '(' => name.push('_'),
                ')' => {}
                c if c.is_ascii_alphanumeric() => name.push(c),
                _ => name.push('_'),
            }
        }
        let kilobytes = fields.next() == Some("kB");
        if kilobytes {
            name.push_str("_bytes");
        }
        emit.put(&name, &[], if kilobytes { value * 1024.0 } else { value });
    }
}

/// Paging, swapping, faults and kills.
pub(super) fn vmstat(text: &str, emit: &mut Emitter<'_>) {
    const NAMES: [(&str, &str); 7] = [
        ("pgpgin", "node_vmstat_pgpgin"),
        ("pgpgout", "node_vmstat_pgpgout"),
        ("pswpin", "node_vmstat_pswpin"),
        ("pswpout", "node_vmstat_pswpout"),
        ("pgfault", "node_vmstat_pgfault"),
        ("pgmajfault", "node_vmstat_pgmajfault"),
        ("oom_kill", "node_vmstat_oom_kill"),
    ];
    for line in text.lines() {
        let Some((key, value)) = line.split_once(' ') else { continue };
        let known = NAMES.iter().find(|(name, _)| *name == key);
        if let (Some((_, metric)), Ok(value)) = (known, value.trim().parse()) {
            emit.put(metric, &[], value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::emit::emitted;
    use super::*;

    #[test]
    fn names_and_units_are_node_exporters() {
        let text = "MemTotal:  1000 kB\nActive(anon):   2 kB\nHugePages_Total:  3\nBroken: x kB\nnonsense\n";
        assert_eq!(
            emitted(|emit| meminfo(text, emit)),
            [
                "node_memory_MemTotal_bytes{} 1024000",
                "node_memory_Active_anon_bytes{} 2048",
                "node_memory_HugePages_Total{} 3"
            ]
        );
        assert_eq!(emitted(|emit| vmstat("nr_free_pages 1\npgmajfault 5\n", emit)), ["node_vmstat_pgmajfault{} 5"]);
    }
}
