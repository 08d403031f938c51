//! `kubeconfig` files, as far as they need no program of their own to be run.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bramble_client::{Authorization, BasicAuth, HttpConfig, Secret};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// What the current context says.
pub(super) struct Found {
    pub(super) server: String,
    pub(super) http: HttpConfig,
    pub(super) namespace: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", default)]
struct File {
    current_context: String,
    contexts: Vec<NamedContext>,
    clusters: Vec<NamedCluster>,
    users: Vec<NamedUser>,
}

#[derive(Deserialize)]
struct NamedContext {
    name: String,
    context: Context,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Context {
    cluster: String,
    user: String,
    namespace: Option<String>,
}

#[derive(Deserialize)]
struct NamedCluster {
    name: String,
    cluster: Cluster,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", default)]
struct Cluster {
    server: String,
    certificate_authority: Option<PathBuf>,
    certificate_authority_data: Option<String>,
    insecure_skip_tls_verify: bool,
    tls_server_name: String,
    proxy_url: Option<Secret>,
}

#[derive(Deserialize)]
struct NamedUser {
    name: String,
    user: User,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", default)]
struct User {
    token: Secret,
    #[serde(rename = "tokenFile")]
    token_file: Option<PathBuf>,
    client_certificate: Option<PathBuf>,
    client_certificate_data: Option<String>,
    client_key: Option<PathBuf>,
    client_key_data: Option<String>,
    username: String,
    password: Secret,
    exec: Option<serde::de::IgnoredAny>,
    auth_provider: Option<serde::de::IgnoredAny>,
}

pub(super) fn read(path: &Path) -> Result<Found, String> {
    let failed = |reason: String| format!("kubeconfig {}: {reason}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    let file: File = serde_saphyr::from_str(&text).map_err(|error| failed(error.to_string()))?;
    let directory = path.parent().unwrap_or(Path::new(""));
    translate(file, directory).map_err(failed)
}

fn translate(file: File, directory: &Path) -> Result<Found, String> {
    let context = file.contexts.into_iter().find(|one| one.name == file.current_context);
    let context = context.ok_or_else(|| format!("no context \"{}\"", file.current_context))?.context;
    let cluster = file.clusters.into_iter().find(|one| one.name == context.cluster);
    let cluster = cluster.ok_or_else(|| format!("no cluster \"{}\"", context.cluster))?.cluster;
    let user = file.users.into_iter().find(|one| one.name == context.user).map(|one| one.user).unwrap_or_default();
    if user.exec.is_some() || user.auth_provider.is_some() {
        return Err(format!(
            "user \"{}\" gets credentials by running a program (exec or auth-provider), which is not supported: \
             use a token or a client certificate",
            context.user
        ));
    }
    let mut http = HttpConfig { proxy_url: cluster.proxy_url, ..HttpConfig::default() };
    let tls = &mut http.tls_config;
    tls.ca = cluster.certificate_authority_data.map(|data| decode("certificate-authority-data", &data)).transpose()?;
    tls.ca_file = cluster.certificate_authority.filter(|_| tls.ca.is_none());
    tls.insecure_skip_verify = cluster.insecure_skip_tls_verify;
    tls.server_name = cluster.tls_server_name;
    tls.cert = user.client_certificate_data.map(|data| decode("client-certificate-data", &data)).transpose()?;
    tls.cert_file = user.client_certificate.filter(|_| tls.cert.is_none());
    if let Some(data) = user.client_key_data {
        tls.key = Secret(decode("client-key-data", &data)?);
    }
    tls.key_file = user.client_key.filter(|_| tls.key.is_empty());
    if !user.token.is_empty() || user.token_file.is_some() {
        // kubectl prefers the inline token as well.
        let credentials_file = user.token_file.filter(|_| user.token.is_empty());
        http.authorization = Some(Authorization { kind: String::new(), credentials: user.token, credentials_file });
    } else if !user.username.is_empty() {
        let basic = BasicAuth { username: user.username, password: user.password, ..BasicAuth::default() };
        http.basic_auth = Some(basic);
    }
    http.set_directory(directory);
    Ok(Found { server: cluster.server, http, namespace: context.namespace })
}

fn decode(name: &str, data: &str) -> Result<String, String> {
    let bytes = BASE64_STANDARD.decode(data.trim()).map_err(|error| format!("{name}: {error}"))?;
    String::from_utf8(bytes).map_err(|_| format!("{name}: not PEM"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_current_context_is_followed() {
        let text = "current-context: b\ncontexts:\n- {name: a, context: {cluster: none, user: none}}\n\
                    - {name: b, context: {cluster: c, user: u, namespace: n}}\n\
                    clusters:\n- {name: c, cluster: {server: 'https://k:6443', certificate-authority-data: UEVN}}\n\
                    users:\n- {name: u, user: {token: t}}\n";
        let found = translate(serde_saphyr::from_str(text).unwrap(), Path::new("/etc")).unwrap();
        assert_eq!((found.server.as_str(), found.namespace.as_deref()), ("https://k:6443", Some("n")));
        assert_eq!(found.http.tls_config.ca.as_deref(), Some("PEM"));
        assert_eq!(found.http.authorization.unwrap().credentials.expose(), "t");
    }

    #[test]
    fn programs_are_not_run() {
        let text = "current-context: b\ncontexts:\n- {name: b, context: {cluster: c, user: u}}\n\
                    clusters:\n- {name: c, cluster: {server: 'https://k:6443'}}\n\
                    users:\n- {name: u, user: {exec: {command: aws}}}\n";
        let error = translate(serde_saphyr::from_str(text).unwrap(), Path::new("/etc")).err().unwrap();
        assert!(error.contains("exec"), "{error}");
    }
}
