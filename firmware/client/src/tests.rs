//! The client against servers of the tests.

use crate::{Client, ClientError, HttpConfig, Limits};
use bytes::Bytes;
use http::{Method, Request, Uri};
use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener};

const LIMITS: Limits = Limits { timeout: Duration::from_secs(20), body_bytes_max: 1000 };

/// Reads a request's head, and a body if it says that it has one.
async fn request(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => read.push(byte),
            Err(_) => return String::new(),
        }
    }
    let head = String::from_utf8(read).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).map(|text| text.parse().unwrap());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.unwrap();
    head + &String::from_utf8(body).unwrap()
}

fn page(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
}

async fn talk(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: impl Fn(&str) -> String) {
    loop {
        let request = request(&mut stream).await;
        if request.is_empty() || stream.write_all(answer(&request).as_bytes()).await.is_err() {
            return;
        }
    }
}

/// A server that answers each request by a function of it; its address.
async fn serve(answer: impl Fn(&str) -> String + Clone + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(talk(stream, answer.clone()));
        }
    });
    address
}

/// Says back what it was asked.
fn echo(request: &str) -> String {
    page("200 OK", "", request)
}

fn get(url: &str) -> Request<Bytes> {
    Request::get(url).body(Bytes::new()).unwrap()
}

fn config(yaml: &str) -> HttpConfig {
    serde_saphyr::from_str(yaml).unwrap()
}

async fn text(client: &Client, url: &str) -> Result<String, ClientError> {
    let answer = client.send(get(url), LIMITS).await?;
    Ok(String::from_utf8(answer.into_body().to_vec()).unwrap())
}

#[test]
fn what_prometheus_refuses_is_refused_in_its_words() {
    let refused = |yaml: &str| config(yaml).validate().unwrap_err().to_string();
    assert_eq!(
        refused("{bearer_token: a, bearer_token_file: b}"),
        "at most one of bearer_token & bearer_token_file must be configured"
    );
    assert_eq!(
        refused("{basic_auth: {username: a}, bearer_token: b}"),
        "at most one of basic_auth, oauth2, bearer_token & bearer_token_file must be configured"
    );
    assert_eq!(
        refused("{authorization: {type: Basic, credentials: x}}"),
        "authorization type cannot be set to \"basic\", use \"basic_auth\" instead"
    );
    assert_eq!(
        refused("{tls_config: {key_file: k}}"),
        "exactly one of cert or cert_file must be configured when a client key is configured"
    );
    assert_eq!(refused("{no_proxy: x}"), "if no_proxy is configured, proxy_url must also be configured");
    assert_eq!(refused("{oauth2: {client_id: x}}"), "oauth2 token_url must be configured");
    assert_eq!(
        refused("{http_headers: {Authorization: {values: [x]}}}"),
        "setting header \"Authorization\" is not allowed"
    );
    assert!(serde_saphyr::from_str::<HttpConfig>("{basic_aut: {}}").is_err());
    assert!(!format!("{:?}", config("{bearer_token: hidden}")).contains("hidden"));
}

#[tokio::test]
async fn credentials_and_headers_are_sent_and_files_read_again() {
    let address = serve(echo).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, "first\n").unwrap();
    let mut settings = config("{authorization: {credentials_file: token}, http_headers: {X-A: {values: [b]}}}");
    settings.set_directory(directory.path());
    let client = Client::new(&settings).unwrap();
    let url = format!("http://{address}/path?q=1");
    let said = text(&client, &url).await.unwrap();
    assert!(said.starts_with("GET /path?q=1 HTTP/1.1\r\n"), "{said}");
    assert!(said.contains("authorization: Bearer first\r\n") && said.contains("x-a: b\r\n"), "{said}");
    std::fs::write(&file, "second one\n").unwrap();
    assert!(text(&client, &url).await.unwrap().contains("authorization: Bearer second one\r\n"));
    std::fs::remove_file(&file).unwrap();
    assert!(matches!(text(&client, &url).await, Err(ClientError::Auth(_))));
    let basic = Client::new(&config("{basic_auth: {username: u, password: p}}")).unwrap();
    assert!(text(&basic, &url).await.unwrap().contains("authorization: Basic dTpw\r\n"));
    let none = Client::new(&HttpConfig::default()).unwrap();
    assert!(text(&none, &format!("http://u:p@{address}/")).await.unwrap().contains("authorization: Basic dTpw\r\n"));
}

#[tokio::test]
async fn redirects_are_followed_and_credentials_stay() {
    let other = serve(echo).await;
    let there = format!("http://localhost:{}/next", other.rsplit(':').next().unwrap());
    let address = serve(move |request: &str| match request.split(' ').nth(1).unwrap() {
        "/other" => page("302 Found", &format!("location: {there}\r\n"), ""),
        "/loop" => page("302 Found", "location: /loop\r\n", ""),
        "/relative" => page("308 Permanent Redirect", "location: here?x=1\r\n", ""),
        _ => echo(request),
    })
    .await;
    let client = Client::new(&config("{bearer_token: t}")).unwrap();
    let said = text(&client, &format!("http://{address}/relative")).await.unwrap();
    assert!(said.starts_with("GET /here?x=1 ") && said.contains("authorization: Bearer t"), "{said}");
    let said = text(&client, &format!("http://{address}/other")).await.unwrap();
    assert!(said.starts_with("GET /next ") && !said.contains("authorization"), "{said}");
    let error = text(&client, &format!("http://{address}/loop")).await.unwrap_err();
    assert_eq!(error.to_string(), "stopped after 10 redirects");
    let stays = Client::new(&config("{follow_redirects: false}")).unwrap();
    assert_eq!(stays.send(get(&format!("http://{address}/loop")), LIMITS).await.unwrap().status(), 302);
}

#[tokio::test]
async fn limits_and_refusals_are_errors_in_known_words() {
    let address = serve(|_: &str| page("200 OK", "", &"x".repeat(1001))).await;
    let client = Client::new(&HttpConfig::default()).unwrap();
    let url = format!("http://{address}/");
    assert_eq!(text(&client, &url).await.unwrap_err(), ClientError::TooLarge);
    let mut body = client.open(get(&url), LIMITS.timeout).await.unwrap().into_body();
    let mut length = 0;
    while let Some(piece) = body.next().await {
        length += piece.unwrap().len();
    }
    assert_eq!(length, 1001, "piece by piece there is no limit");
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let short = Limits { timeout: Duration::from_millis(50), ..LIMITS };
    assert_eq!(client.send(get(&url), short).await.unwrap_err().to_string(), "context deadline exceeded");
    drop(silent);
    let uri: Uri = url.parse().unwrap();
    let error = client.send(get(&url), LIMITS).await.unwrap_err();
    let wanted = format!("Get \"{url}\": dial tcp {}: connect: connection refused", uri.authority().unwrap());
    assert_eq!(error.at(&Method::GET, &uri), wanted);
    assert!(matches!(client.send(get("ftp://x/"), LIMITS).await, Err(ClientError::Config(_))));
}

#[tokio::test]
async fn unix_sockets_are_spoken_to() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(talk(stream, echo));
        }
    });
    let said = text(&Client::unix(&path), "http://localhost/x").await.unwrap();
    assert!(said.starts_with("GET /x ") && said.contains("host: localhost"), "{said}");
    let error = text(&Client::unix("/nowhere/s"), "http://localhost/").await.unwrap_err();
    assert_eq!(error.to_string(), "dial unix /nowhere/s: connect: no such file or directory");
}

#[tokio::test]
async fn tokens_are_fetched_and_kept() {
    let address = serve(|request: &str| {
        if request.starts_with("POST /token ") {
            let in_header = request.contains("authorization: Basic aWQ6cyUyRmU=");
            assert!(in_header && request.ends_with("grant_type=client_credentials&scope=a+b"), "{request}");
            return page("200 OK", "", r#"{"access_token": "tok", "expires_in": 3600}"#);
        }
        echo(request)
    })
    .await;
    let yaml =
        format!("oauth2: {{client_id: id, client_secret: s/e, scopes: [a, b], token_url: 'http://{address}/token'}}");
    let client = Client::new(&config(&yaml)).unwrap();
    for _ in 0..2 {
        assert!(text(&client, &format!("http://{address}/")).await.unwrap().contains("authorization: Bearer tok\r\n"));
    }
    let yaml = "oauth2: {client_id: id, token_url: 'http://127.0.0.1:1/'}";
    let error = text(&Client::new(&config(yaml)).unwrap(), &format!("http://{address}/")).await.unwrap_err();
    assert!(error.to_string().starts_with("oauth2: cannot fetch token: dial tcp 127.0.0.1:1"), "{error}");
}

/// A TLS server with this certificate; its address.
async fn serve_tls(certificate: &rcgen::Certificate, key: &KeyPair) -> String {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let settings = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(settings));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    talk(stream, echo).await;
                }
            });
        }
    });
    address
}

async fn trusting(ca: &Path, address: &str, more: &str) -> Result<String, ClientError> {
    let yaml = format!("tls_config: {{ca_file: '{}'{more}}}", ca.display());
    text(&Client::new(&config(&yaml)).unwrap(), &format!("https://{address}/")).await
}

#[tokio::test]
async fn certificates_are_checked_and_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let ca_file = directory.path().join("ca.crt");
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params.clone(), KeyPair::generate().unwrap()).unwrap();
    let other = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let names = vec!["127.0.0.1".to_owned(), "kubelet".to_owned()];
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
    let address = serve_tls(&certificate, &key).await;
    std::fs::write(&ca_file, other.pem()).unwrap();
    let yaml = format!("tls_config: {{ca_file: '{}'}}", ca_file.display());
    let client = Client::new(&config(&yaml)).unwrap();
    let url = format!("https://{address}/");
    let error = text(&client, &url).await.unwrap_err();
    assert!(error.to_string().contains("certificate signed by unknown authority"), "{error}");
    std::fs::write(&ca_file, authority.pem()).unwrap();
    assert!(text(&client, &url).await.unwrap().starts_with("GET / "), "the file was read again");
    assert!(trusting(&ca_file, &address, ", server_name: kubelet").await.is_ok());
    let error = trusting(&ca_file, &address, ", server_name: else").await.unwrap_err();
    assert!(error.to_string().contains("not valid for else"), "{error}");
    assert!(trusting(Path::new("/nowhere"), &address, "").await.is_err());
    let any = Client::new(&config("tls_config: {insecure_skip_verify: true}")).unwrap();
    assert!(text(&any, &url).await.is_ok());
    // As `openssl req -x509` makes them: the server's own certificate, marked as an authority.
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let own = params.self_signed(&key).unwrap();
    std::fs::write(&ca_file, own.pem()).unwrap();
    let address = serve_tls(&own, &key).await;
    assert!(trusting(&ca_file, &address, "").await.is_ok());
    let error = trusting(&ca_file, &address, ", server_name: else").await.unwrap_err();
    assert!(error.to_string().contains("not valid for else"), "{error}");
}

#[tokio::test]
async fn proxies_forward_plain_requests_and_open_tunnels() {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
    let behind = serve_tls(&certificate, &key).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let asked = request(&mut stream).await;
                if let Some(rest) = asked.strip_prefix("CONNECT ") {
                    assert!(asked.to_lowercase().contains("proxy-authorization: basic dtpw"), "{asked}");
                    let mut upstream = TcpStream::connect(rest.split(' ').next().unwrap()).await.unwrap();
                    stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
                    _ = tokio::io::copy_bidirectional(&mut stream, &mut upstream).await;
                } else {
                    stream.write_all(echo(&asked).as_bytes()).await.unwrap();
                }
            });
        }
    });
    let yaml = format!("{{proxy_url: 'http://u:p@{proxy}', tls_config: {{insecure_skip_verify: true}}}}");
    let client = Client::new(&config(&yaml)).unwrap();
    let said = text(&client, "http://far.example/path").await.unwrap();
    assert!(
        said.starts_with("GET http://far.example/path ") && said.contains("proxy-authorization: Basic dTpw"),
        "{said}"
    );
    let said = text(&client, &format!("https://{behind}/x")).await.unwrap();
    assert!(said.starts_with("GET /x ") && !said.contains("proxy-authorization"), "{said}");
}
