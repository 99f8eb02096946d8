//! Rights of a token's bearer. Pure.

use serde::{Deserialize, Serialize};

use super::names::{DisplayName, Region, RoomName};

/// The rights of a token's bearer. Every value satisfies the rules of [`Grant::new`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The one room that the bearer may enter.
    pub room: RoomName,
    /// Name that the bearer must use there, if the token has one.
    pub name: Option<DisplayName>,
    /// Members of the room, viewers and the bearer included; the server's own limits hold beside
    /// it.
    pub max_members: Option<usize>,
    /// Part of the bearer in the room.
    pub role: Role,
    /// Region that the bearer's relay is to be in, if the token has one.
    pub region: Option<Region>,
}

/// Rights that a token grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rights {
    /// Those of a member of one room.
    Room(Grant),
    /// Those of an operator: inviting others to any room. It enters no room itself.
    Operator,
}

/// Part of a member in its room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sends and receives.
    Member,
    /// The same, and decides who else may.
    Host,
    /// Receives only.
    Viewer,
}

impl Grant {
    /// Checks the claims of a token to read or to sign: one for a member. An empty name counts as
    /// absent.
    ///
    /// # Errors
    /// One sentence.
    pub fn new(room: String, name: Option<String>, max_members: Option<usize>) -> Result<Self, &'static str> {
        let room = RoomName::try_from(room)?;
        let name = name.filter(|name| !name.is_empty()).map(DisplayName::try_from);
        if max_members == Some(0) {
            return Err("A room for nobody needs no invitation: max_members is at least 1.");
        }
        Ok(Self { room, name: name.transpose()?, max_members, role: Role::Member, region: None })
    }

    /// The same rights in another role.
    #[must_use]
    pub fn with_role(self, role: Role) -> Self {
        Self { role, ..self }
    }

    /// The same rights with the relay in this region. An empty name counts as absent.
    ///
    /// # Errors
    /// One sentence.
    pub fn with_region(self, region: Option<&str>) -> Result<Self, &'static str> {
        let region = region.filter(|region| !region.is_empty()).map(str::parse).transpose()?;
        Ok(Self { region, ..self })
    }
}

impl Role {
    /// Reads the two claims of a role.
    ///
    /// # Errors
    /// One sentence.
    pub fn of(host: bool, viewer: bool) -> Result<Self, &'static str> {
        match (host, viewer) {
            (false, false) => Ok(Self::Member),
            (true, false) => Ok(Self::Host),
            (false, true) => Ok(Self::Viewer),
            (true, true) => Err("A viewer cannot be a host: choose one of `host` and `viewer`."),
        }
    }
}
