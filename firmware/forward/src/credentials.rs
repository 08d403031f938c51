//! Credentials of an [`HttpConfig`] for what is not sent through the HTTP client: gRPC.
//!
//! Files are read when the destination is made. OAuth2 and proxies are for HTTP alone.

use bramble_client::{HttpConfig, Secret};
use std::path::Path;

/// Certificates and keys, as PEM.
#[derive(Default)]
pub(crate) struct TlsFiles {
    pub(crate) ca: Option<String>,
    pub(crate) identity: Option<(String, String)>,
    pub(crate) server_name: String,
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn secret(said: &Secret, file: Option<&Path>) -> Result<String, String> {
    match file {
        Some(file) => Ok(read(file)?.trim().to_owned()),
        None => Ok(said.expose().to_owned()),
    }
}

/// The `Authorization` header, if there is to be one.
///
/// # Errors
/// A text: a file that cannot be read, or a way of HTTP's alone.
pub(crate) fn authorization(http: &HttpConfig) -> Result<Option<String>, String> {
    if http.oauth2.is_some() {
        return Err("oauth2 works with protocol = \"http\" alone".into());
    }
    if let Some(basic) = &http.basic_auth {
        let user = match &basic.username_file {
            Some(file) => read(file)?.trim().to_owned(),
            None => basic.username.clone(),
        };
        let password = secret(&basic.password, basic.password_file.as_deref())?;
        return Ok(Some(format!("Basic {}", base64(format!("{user}:{password}").as_bytes()))));
    }
    if let Some(authorization) = &http.authorization {
        let kind = if authorization.kind.is_empty() { "Bearer" } else { authorization.kind.as_str() };
        let text = secret(&authorization.credentials, authorization.credentials_file.as_deref())?;
        return Ok(Some(format!("{kind} {text}")));
    }
    let token = secret(&http.bearer_token, http.bearer_token_file.as_deref())?;
    Ok((!token.is_empty()).then(|| format!("Bearer {token}")))
}

/// What TLS needs.
///
/// # Errors
/// A text: a file that cannot be read, or a check that gRPC does not leave out.
pub(crate) fn tls(http: &HttpConfig) -> Result<TlsFiles, String> {
    let tls = &http.tls_config;
    if tls.insecure_skip_verify {
        return Err("insecure_skip_verify works with protocol = \"http\" alone; give the server's ca_file".into());
    }
    let text = |said: &Option<String>, file: &Option<std::path::PathBuf>| match (said, file) {
        (Some(said), _) => Ok(Some(said.clone())),
        (None, Some(file)) => read(file).map(Some),
        (None, None) => Ok::<_, String>(None),
    };
    let identity = match text(&tls.cert, &tls.cert_file)? {
        Some(cert) => Some((cert, secret(&tls.key, tls.key_file.as_deref())?)),
        None => None,
    };
    Ok(TlsFiles { ca: text(&tls.ca, &tls.ca_file)?, identity, server_name: tls.server_name.clone() })
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0u32, |group, &byte| group << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let digit = DIGITS.get((group >> (18 - 6 * i) & 63) as usize).copied().unwrap_or(b'=');
            out.push(if i <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_client::BasicAuth;

    #[test]
    fn basic_authorization_is_that_of_the_rfc() {
        let password = serde_json::from_str("\"open sesame\"").unwrap();
        let basic = BasicAuth { username: "Aladdin".into(), password, ..BasicAuth::default() };
        let http = HttpConfig { basic_auth: Some(basic), ..HttpConfig::default() };
        assert_eq!(authorization(&http), Ok(Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==".into())), "RFC 7617");
        assert_eq!(authorization(&HttpConfig::default()), Ok(None));
    }
}
