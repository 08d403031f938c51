//! Secrets and ConfigMaps that monitors name.

use super::objects::{Endpoint, KeyRef, SecretOrConfigMap};
use crate::discovery::kubernetes::api::Api;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Resource, namespace and name.
type Name = (&'static str, String, String);
/// Keys with their values, or why they cannot be read.
type Read = Result<BTreeMap<String, String>, String>;

/// Keys that were read, until they are forgotten to be read anew.
pub(super) struct Secrets {
    api: Option<Api>,
    /// By resource (`secrets` or `configmaps`), namespace and name: keys and values, or why they cannot be read.
    known: BTreeMap<Name, Read>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Data {
    data: Option<BTreeMap<String, String>>,
}

impl Secrets {
    pub(super) fn new(api: Api) -> Self {
        Secrets { api: Some(api), known: BTreeMap::new() }
    }

    /// Some that are known, and no way to more.
    #[cfg(test)]
    pub(super) fn fixed(entries: &[(&'static str, &str, &str, &str, &str)]) -> Self {
        let mut known: BTreeMap<Name, Read> = BTreeMap::new();
        for (resource, namespace, name, key, value) in entries {
            let entry = known.entry((*resource, (*namespace).to_owned(), (*name).to_owned()));
            if let Ok(data) = entry.or_insert_with(|| Ok(BTreeMap::new())) {
                data.insert((*key).to_owned(), (*value).to_owned());
            }
        }
        Secrets { api: None, known }
    }

    pub(super) fn forget(&mut self) {
        self.known.clear();
    }

    /// Reads all that these endpoints name and that is not known yet.
    pub(super) async fn read_all(&mut self, namespace: &str, endpoints: impl Iterator<Item = &Endpoint>) {
        let Some(api) = self.api.clone() else { return };
        for (resource, name) in endpoints.flat_map(names) {
            let key = (resource, namespace.to_owned(), name.clone());
            if self.known.get(&key).is_some_and(Result::is_ok) {
                continue;
            }
            let path = format!("/api/v1/namespaces/{namespace}/{resource}/{name}");
            let read = match api.get(&path).await {
                Err(error) => Err(format!("{resource} \"{name}\": {error}")),
                Ok(body) => match serde_json::from_slice::<Data>(&body) {
                    Err(error) => Err(format!("{resource} \"{name}\": {error}")),
                    Ok(found) => Ok(decode(resource, found.data.unwrap_or_default())),
                },
            };
            self.known.insert(key, read);
        }
    }

    pub(super) fn secret(&self, namespace: &str, reference: &KeyRef) -> Result<String, String> {
        self.value("secrets", namespace, reference)
    }

    /// `None` if neither is named.
    pub(super) fn either(&self, namespace: &str, reference: &SecretOrConfigMap) -> Result<Option<String>, String> {
        match (&reference.secret, &reference.config_map) {
            (Some(secret), _) => self.value("secrets", namespace, secret).map(Some),
            (None, Some(map)) => self.value("configmaps", namespace, map).map(Some),
            (None, None) => Ok(None),
        }
    }

    fn value(&self, resource: &'static str, namespace: &str, reference: &KeyRef) -> Result<String, String> {
        let key = (resource, namespace.to_owned(), reference.name.clone());
        match self.known.get(&key) {
            None => Err(format!("{resource} \"{}\" was not read", reference.name)),
            Some(Err(error)) => Err(error.clone()),
            Some(Ok(data)) => data
                .get(&reference.key)
                .cloned()
                .ok_or_else(|| format!("key \"{}\" in {resource} \"{}\" not found", reference.key, reference.name)),
        }
    }
}

/// Values of secrets are base64; what is no text cannot be put in a configuration and is left out.
fn decode(resource: &str, data: BTreeMap<String, String>) -> BTreeMap<String, String> {
    if resource != "secrets" {
        return data;
    }
    let text = |value: String| BASE64_STANDARD.decode(value).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    data.into_iter().filter_map(|(key, value)| text(value).map(|text| (key, text))).collect()
}

/// What one endpoint names.
fn names(endpoint: &Endpoint) -> Vec<(&'static str, String)> {
    let mut names = Vec::new();
    let mut secret = |reference: Option<&KeyRef>| {
        names.extend(reference.filter(|one| !one.name.is_empty()).map(|one| ("secrets", one.name.clone())));
    };
    secret(endpoint.bearer_token_secret.as_ref());
    secret(endpoint.authorization.as_ref().and_then(|one| one.credentials.as_ref()));
    secret(endpoint.basic_auth.as_ref().map(|one| &one.username));
    secret(endpoint.basic_auth.as_ref().map(|one| &one.password));
    secret(endpoint.oauth2.as_ref().map(|one| &one.client_secret));
    secret(endpoint.tls_config.as_ref().and_then(|one| one.key_secret.as_ref()));
    let tls = endpoint.tls_config.iter().flat_map(|tls| [&tls.ca, &tls.cert]);
    let either: Vec<&SecretOrConfigMap> = tls.chain(endpoint.oauth2.iter().map(|one| &one.client_id)).collect();
    for one in &either {
        secret(one.secret.as_ref());
    }
    names.extend(either.iter().filter_map(|one| one.config_map.as_ref()).map(|one| ("configmaps", one.name.clone())));
    names
}
