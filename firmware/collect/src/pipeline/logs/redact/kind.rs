//! What is redacted.

use serde::Deserialize;

/// A kind of secret or of personal data.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// AWS access key ids: `AKIA…`, `ASIA…`.
    AwsAccessKey,
    /// AWS secret keys behind their names.
    AwsSecretKey,
    /// GitHub's tokens: `ghp_…`, `github_pat_…`.
    GithubToken,
    /// GitLab's tokens: `glpat-…`.
    GitlabToken,
    /// Slack's tokens and web hooks: `xoxb-…`, `xapp-…`.
    SlackToken,
    /// Stripe's secret keys: `sk_live_…`.
    StripeKey,
    /// Google's keys and tokens: `AIza…`, `ya29.…`.
    GoogleKey,
    /// Keys of language models' and packages' services: `sk-…`, `hf_…`, `npm_…`, `pypi-…`.
    ServiceKey,
    /// JSON web tokens.
    Jwt,
    /// Credentials of `Authorization` headers.
    Authorization,
    /// PEM private keys.
    PrivateKey,
    /// Passwords in URLs.
    UrlPassword,
    /// Values of fields that are called password and the like.
    Password,
    /// Values of fields that are called secret, token, key and the like.
    Secret,
    /// Numbers of payment cards that pass Luhn's check.
    CreditCard,
    /// E-mail addresses. Not unless asked for.
    Email,
    /// IPv4 addresses. Not unless asked for.
    Ipv4,
    /// IPv6 addresses. Not unless asked for.
    Ipv6,
    /// Telephone numbers with a country's prefix. Not unless asked for.
    Phone,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 19] = [
        Kind::AwsAccessKey,
        Kind::AwsSecretKey,
        Kind::GithubToken,
        Kind::GitlabToken,
        Kind::SlackToken,
        Kind::StripeKey,
        Kind::GoogleKey,
        Kind::ServiceKey,
        Kind::Jwt,
        Kind::Authorization,
        Kind::PrivateKey,
        Kind::UrlPassword,
        Kind::Password,
        Kind::Secret,
        Kind::CreditCard,
        Kind::Email,
        Kind::Ipv4,
        Kind::Ipv6,
        Kind::Phone,
    ];

    /// The word in `<redacted:…>`, in settings and in counters.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::AwsAccessKey => "aws_access_key",
            Kind::AwsSecretKey => "aws_secret_key",
            Kind::GithubToken => "github_token",
            Kind::GitlabToken => "gitlab_token",
            Kind::SlackToken => "slack_token",
            Kind::StripeKey => "stripe_key",
            Kind::GoogleKey => "google_key",
            Kind::ServiceKey => "service_key",
            Kind::Jwt => "jwt",
            Kind::Authorization => "authorization",
            Kind::PrivateKey => "private_key",
            Kind::UrlPassword => "url_password",
            Kind::Password => "password",
            Kind::Secret => "secret",
            Kind::CreditCard => "credit_card",
            Kind::Email => "email",
            Kind::Ipv4 => "ipv4",
            Kind::Ipv6 => "ipv6",
            Kind::Phone => "phone",
        }
    }

    /// The kind of this name.
    pub fn of_name(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Whether it is redacted unless settings say otherwise: secrets are, personal data is not.
    pub fn is_default(self) -> bool {
        !matches!(self, Kind::Email | Kind::Ipv4 | Kind::Ipv6 | Kind::Phone)
    }

    pub(super) fn bit(self) -> u32 {
        1 << self as u32
    }
}
