//! The stages of a `promtail.yaml`'s jobs, for those who want to see what they do; everything else in it is left to
//! [`promtail`](crate::promtail).

use super::StageConfig;
use serde::Deserialize;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Jobs {
    scrape_configs: Vec<Job>,
    pipeline_stages: Vec<StageConfig>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Job {
    job_name: String,
    pipeline_stages: Option<Vec<StageConfig>>,
}

/// Jobs and their stages, in the order of the file: of its `scrape_configs`, or of `pipeline_stages` or a list of stages
/// alone, whose job has an empty name.
///
/// # Errors
/// Line, column and what is wrong.
pub fn stages_of_jobs(text: &str) -> Result<Vec<(String, Vec<StageConfig>)>, String> {
    let read_list = || serde_saphyr::from_str::<Vec<StageConfig>>(text).map_err(|e| e.to_string());
    let is_list = text.lines().find(|l| !l.trim().is_empty() && !l.starts_with(['#', '%']) && !l.starts_with("---"));
    if is_list.is_some_and(|line| line.starts_with(['-', '['])) {
        return Ok(vec![(String::new(), read_list()?)]);
    }
    let jobs: Jobs = serde_saphyr::from_str(text).map_err(|e| e.to_string())?;
    if !jobs.pipeline_stages.is_empty() {
        return Ok(vec![(String::new(), jobs.pipeline_stages)]);
    }
    Ok(jobs.scrape_configs.into_iter().map(|job| (job.job_name, job.pipeline_stages.unwrap_or_default())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_forms() {
        let names = |text: &str| -> Vec<String> {
            let jobs = stages_of_jobs(text).unwrap();
            let stage = |s: &StageConfig| s.name();
            jobs.iter().map(|(n, s)| format!("{n}:{}", s.iter().map(stage).collect::<Vec<_>>().join(","))).collect()
        };
        assert_eq!(names("# x\n- cri: {}\n- decolorize:"), [":cri,decolorize"]);
        assert_eq!(names("pipeline_stages:\n- docker: {}"), [":docker"]);
        let file = "server: { http_listen_port: 1 }\nscrape_configs:\n- job_name: a\n  pipeline_stages:\n  - cri: {}\n- job_name: b";
        assert_eq!(names(file), ["a:cri", "b:"]);
        assert!(stages_of_jobs("- json: { expressions: 5 }").unwrap_err().contains("line 1"));
    }
}
