//! What a process is in a cluster.

use super::value::{Raw, SettingValue, wanted};

/// The role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Role {
    /// Stores and serves.
    #[default]
    Hub,
    /// Collects and sends on.
    Node,
}

impl SettingValue for Role {
    const KIND: &'static str = "\"hub\" or \"node\"";

    fn read(raw: &Raw) -> Result<Self, String> {
        match raw {
            Raw::Text(text) if text == "hub" => Ok(Role::Hub),
            Raw::Text(text) if text == "node" => Ok(Role::Node),
            _ => Err(wanted::<Self>(raw)),
        }
    }

    fn show(&self) -> String {
        match self {
            Role::Hub => "\"hub\"",
            Role::Node => "\"node\"",
        }
        .to_owned()
    }
}
