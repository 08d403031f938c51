//! What the path of a container's log tells, as kubelets name them.

/// A container of a pod.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PodLog<'a> {
    /// Kubernetes namespace.
    pub namespace: &'a str,
    /// Pod.
    pub pod: &'a str,
    /// Container; empty where the path ends before it.
    pub container: &'a str,
}

/// Whose log this is; `None` for other paths.
pub fn pod_log(path: &str) -> Option<PodLog<'_>> {
    // Whatever the host's file system is mounted as in an agent's container.
    if let Some((_, rest)) = path.split_once("/log/pods/") {
        let mut folders = rest.split('/');
        // Neither namespaces nor pods have an underscore in their names.
        let mut names = folders.next()?.splitn(3, '_');
        let (namespace, pod) = (names.next()?, names.next()?);
        let container = folders.next().filter(|name| !name.ends_with(".log")).unwrap_or("");
        return known(PodLog { namespace, pod, container });
    }
    let (_, file) = path.split_once("/log/containers/")?;
    let mut names = file.strip_suffix(".log")?.splitn(3, '_');
    let (pod, namespace, rest) = (names.next()?, names.next()?, names.next()?);
    let (container, id) = rest.rsplit_once('-')?;
    let is_id = !id.is_empty() && id.bytes().all(|b| b.is_ascii_hexdigit());
    known(PodLog { namespace, pod, container }).filter(|_| is_id)
}

fn known(log: PodLog<'_>) -> Option<PodLog<'_>> {
    (!log.namespace.is_empty() && !log.pod.is_empty()).then_some(log)
}
