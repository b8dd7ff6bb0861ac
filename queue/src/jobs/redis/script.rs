//! The scripts that the server runs: each is one step, which it does wholly and without any other between. The server
//! knows them by their hash; one that does not know a script any more, after a restart or a flush, gets its text.

use std::sync::LazyLock;

use bytes::Bytes;
use redis::Cmd;

/// A script by its text and hash.
#[derive(Debug)]
pub(super) struct Script {
    /// What the step does, for errors.
    pub(super) action: &'static str,
    /// Whether it is safe to do it again when the answer was lost.
    pub(super) is_repeatable: bool,
    /// Whether it changes what replicas must have.
    pub(super) is_change: bool,
    code: &'static str,
    hash: LazyLock<String>,
}

/// What is wanted of replicas before a call is answered, where they are waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Replication {
    /// Nothing: it does no harm that a new primary does not know of it.
    Unneeded,
    /// That they have it, if they can.
    Tried,
    /// That they have it.
    Needed,
}

/// A script and what it is called with.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) script: &'static Script,
    /// What is wanted of replicas before it is answered.
    pub(super) replication: Replication,
    key: String,
    arguments: Vec<Bytes>,
}

/// Defines scripts: name, action, file; `change` begins with what all changes share, as does `growth`, which is refused
/// when the server is out of memory.
macro_rules! scripts {
    (@code growth $file:literal) => {
        concat!("#!lua\n", include_str!("lua/common.lua"), include_str!(concat!("lua/", $file, ".lua")))
    };
    (@code change $file:literal) => {
        concat!(
            "#!lua flags=allow-oom\n",
            include_str!("lua/common.lua"),
            include_str!(concat!("lua/", $file, ".lua"))
        )
    };
    (@code plain $file:literal) => { include_str!(concat!("lua/", $file, ".lua")) };
    ($($name:ident: $kind:ident $file:literal, $action:literal, $repeatable:literal;)+) => { $(
        pub(super) static $name: Script = Script {
            action: $action,
            is_repeatable: $repeatable,
            is_change: matches!(stringify!($kind).as_bytes(), b"change" | b"growth"),
            code: scripts!(@code $kind $file),
            hash: LazyLock::new(|| redis::Script::new(scripts!(@code $kind $file)).get_hash().to_owned()),
        };
    )+ };
}

scripts! {
    ENQUEUE: growth "enqueue", "enqueue jobs", true;
    FINISH: change "finish", "finish and claim jobs", true;
    EXTEND: change "extend", "extend leases", true;
    CANCEL: change "cancel", "cancel a job", false;
    RETRY: change "retry", "retry a dead job", false;
    REMOVE: change "remove", "remove a job", false;
    RETENTION: change "retention", "change a retention", true;
    CONFIGURE: change "configure", "change the settings", true;
    REAP: change "reap", "do upkeep", true;
    NOTE: plain "note", "note a queue", true;
    OUTLOOK: plain "outlook", "look for work", true;
    JOBS: plain "jobs", "read jobs", true;
    COUNTS: plain "counts", "count jobs", true;
    LEAD: plain "lead", "take a role", true;
    RESIGN: plain "resign", "give a role up", true;
}

impl Script {
    const fn replication(&self) -> Replication {
        if self.is_change { Replication::Needed } else { Replication::Unneeded }
    }

    /// A call on the keys that begin with this one.
    pub(super) const fn on(&'static self, key: String) -> Call {
        Call { script: self, replication: self.replication(), key, arguments: Vec::new() }
    }

    /// A change of a queue. Its first argument is kept for [`Call::again`].
    pub(super) fn change(&'static self, key: String) -> Call {
        Call { script: self, replication: self.replication(), key, arguments: vec![Bytes::from_static(b"0")] }
    }
}

impl Call {
    /// With another wish.
    pub(super) fn replicated(self, replication: Replication) -> Self {
        Self { replication, ..self }
    }

    /// With one more argument.
    pub(super) fn arg(mut self, argument: impl Into<Bytes>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// With a number as one more argument.
    pub(super) fn number(self, number: u64) -> Self {
        self.arg(number.to_string())
    }

    /// Notes that it may have been done before.
    pub(super) fn again(&mut self) {
        if self.script.is_change
            && let Some(again) = self.arguments.first_mut()
        {
            *again = Bytes::from_static(b"1");
        }
    }

    /// For a server that knows the script.
    pub(super) fn by_hash(&self) -> Cmd {
        self.command("EVALSHA", &self.script.hash)
    }

    /// For one that does not.
    pub(super) fn by_code(&self) -> Cmd {
        self.command("EVAL", self.script.code)
    }

    fn command(&self, verb: &str, script: &str) -> Cmd {
        let mut command = Cmd::new();
        command.arg(verb).arg(script).arg(1).arg(&self.key);
        for argument in &self.arguments {
            command.arg(argument.as_ref());
        }
        command
    }
}
