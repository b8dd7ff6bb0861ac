//! What a frame is: its role in a group, and a tag of the user's.

/// The part a frame plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Stands alone; its group id means nothing to the journal.
    Single,
    /// Opens a group.
    Begin,
    /// Belongs to an open group.
    Part,
    /// Closes a group. The journal stamps it, see [`Stamp`](super::Stamp).
    End,
}

/// The kind of a frame: a [`Role`] and a tag from 0 to 31 that only the user reads.
///
/// ```
/// use lockstep_queue::journal::{Kind, Role};
///
/// const ATTEMPT: Kind = Kind::part::<1>();
/// assert_eq!((ATTEMPT.role(), ATTEMPT.tag()), (Role::Part, 1));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kind {
    role: Role,
    tag: u8,
}

const TAGS: u8 = 32;

impl Kind {
    /// A frame that stands alone. A tag over 31 does not compile.
    #[must_use]
    pub const fn single<const TAG: u8>() -> Self {
        Self::checked::<TAG>(Role::Single)
    }

    /// The first frame of a group.
    #[must_use]
    pub const fn begin<const TAG: u8>() -> Self {
        Self::checked::<TAG>(Role::Begin)
    }

    /// A frame within a group.
    #[must_use]
    pub const fn part<const TAG: u8>() -> Self {
        Self::checked::<TAG>(Role::Part)
    }

    /// The last frame of a group.
    #[must_use]
    pub const fn end<const TAG: u8>() -> Self {
        Self::checked::<TAG>(Role::End)
    }

    /// The part it plays.
    #[must_use]
    pub const fn role(self) -> Role {
        self.role
    }

    /// The user's tag.
    #[must_use]
    pub const fn tag(self) -> u8 {
        self.tag
    }

    const fn checked<const TAG: u8>(role: Role) -> Self {
        const { assert!(TAG < TAGS, "a tag is at most 31") }
        Self { role, tag: TAG }
    }

    /// The byte on disk: the role in the upper three bits, 0 being the journal's own frames.
    pub(crate) const fn to_byte(self) -> u8 {
        let role = match self.role {
            Role::Single => 1,
            Role::Begin => 2,
            Role::Part => 3,
            Role::End => 4,
        };
        role * TAGS + self.tag
    }

    /// The kind of a byte on disk; nothing for the journal's own frames.
    pub(crate) const fn from_byte(byte: u8) -> Option<Self> {
        let role = match byte / TAGS {
            1 => Role::Single,
            2 => Role::Begin,
            3 => Role::Part,
            4 => Role::End,
            _ => return None,
        };
        Some(Self { role, tag: byte % TAGS })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_kinds_match() {
        let known: Vec<u8> = (0..=u8::MAX).filter(|byte| Kind::from_byte(*byte).is_some()).collect();
        assert_eq!(known, (32..160).collect::<Vec<u8>>());
        for byte in known {
            assert_eq!(Kind::from_byte(byte).unwrap().to_byte(), byte);
        }
        assert_eq!(Kind::from_byte(Kind::end::<31>().to_byte()), Some(Kind::end::<31>()));
    }
}
