//! The other side of a call, as the client's span names it.

use crate::options::DeriveOptions;
use crate::sources::put_text;
use crate::texts::TEXT_BYTES_MAX;
use bramble_signal::attributes::AttributesRef;

/// What the attributes of a client's span say of the other side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Peer {
    /// It is a database; its name is in the buffer.
    Database,
    /// Should it not answer with a span of its own, this is its name; it is in the buffer.
    Named,
    /// Nothing.
    Unknown,
}

/// Attributes in order of preference; which of them a span has is found in one walk.
pub(crate) struct PeerNames {
    databases: Vec<String>,
    peers: Vec<String>,
}

impl PeerNames {
    pub(crate) fn new(options: &DeriveOptions) -> Self {
        PeerNames { databases: options.database_attributes.clone(), peers: options.peer_attributes.clone() }
    }

    /// What a span says; `name` is overwritten with the other side's name. `may_ask_database`: of clients, not of
    /// producers.
    pub(crate) fn find(&self, attributes: AttributesRef<'_>, may_ask_database: bool, name: &mut Vec<u8>) -> Peer {
        name.clear();
        let mut best = (Peer::Unknown, usize::MAX);
        for (key, value) in attributes.encoded() {
            let rank = |names: &[String]| names.iter().position(|wanted| wanted.as_bytes() == key);
            let found = match rank(&self.databases) {
                Some(at) if may_ask_database => Some((Peer::Database, at)),
                _ => rank(&self.peers).map(|at| (Peer::Named, at)),
            };
            let Some((peer, at)) = found else { continue };
            let before = name.len();
            let better = match (peer, best.0) {
                (Peer::Database, Peer::Named) => true,
                (Peer::Named, Peer::Database) => false,
                _ => at < best.1,
            };
            let put = |name: &mut Vec<u8>| value.decode().is_some_and(|value| put_text(&value, TEXT_BYTES_MAX, name));
            if better && put(name) && name.len() > before {
                name.drain(..before);
                best = (peer, at);
            }
        }
        best.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bramble_signal::attributes::{AttributeValue, put_attribute};

    fn find(pairs: &[(&str, &str)], client: bool) -> (Peer, String) {
        let mut bytes = Vec::new();
        pairs.iter().for_each(|(key, value)| put_attribute(&mut bytes, key, AttributeValue::Str(value)));
        let mut name = b"left over".to_vec();
        let names = PeerNames::new(&DeriveOptions::default());
        let peer = names.find(AttributesRef::from_encoded(&bytes), client, &mut name);
        (peer, String::from_utf8(name).unwrap())
    }

    #[test]
    fn databases_win_and_the_first_attribute_of_the_list_does() {
        assert_eq!(find(&[("http.method", "GET")], true), (Peer::Unknown, String::new()));
        assert_eq!(
            find(&[("server.address", "10.0.0.7"), ("peer.service", "mail")], true),
            (Peer::Named, "mail".into())
        );
        let asks =
            [("peer.service", "pg"), ("db.system", "postgresql"), ("db.name", "orders"), ("server.address", "h")];
        assert_eq!(find(&asks, true), (Peer::Database, "orders".into()));
        assert_eq!(find(&asks, false), (Peer::Named, "pg".into()));
        assert_eq!(find(&[("db.name", ""), ("db.system", "redis")], true), (Peer::Database, "redis".into()));
    }
}
